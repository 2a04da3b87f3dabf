export const languages = ['en', 'fr'] as const;
export type Language = (typeof languages)[number];
export type Message = Record<Language, string>;
