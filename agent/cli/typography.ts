import type { Language } from './message.ts';

/** A number with so many decimals, put in figures once the language is known. */
export interface Fixed {
  readonly value: number;
  readonly decimals: number;
}

export function fixed(value: number, decimals: number): Fixed {
  return { value, decimals };
}

const formats = new Map<string, Intl.NumberFormat>();

/**
 * A number as the language writes it: 0.5 or 0,5. Digits are not grouped, so that ports and counts can be typed as
 * shown. A zero has no sign.
 */
export function formatNumber(value: number, language: Language, decimals?: number): string {
  const key = `${language} ${decimals}`;
  const digits = decimals === undefined ? { maximumFractionDigits: 20 } : { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  const format = formats.get(key) ?? new Intl.NumberFormat(language, { ...digits, useGrouping: false, signDisplay: 'negative' });
  formats.set(key, format);
  return format.format(value);
}

export const noBreak = '\u00a0';
const units = 's|ms|min|h|j|jours|Hz|kHz|dB|dBFS|Mo|ko|o|V|A|W|°C|m';

/** The decimal comma of measures, numbers with a unit, that a text in French took over with their point. */
export function withComma(french: string): string {
  return french.replace(new RegExp(`(\\d)\\.(\\d+)(?=${noBreak}(?:${units})(?![\\p{L}\\d’'/-]))`, 'gu'), '$1,$2');
}

/**
 * French puts a no-break space before `:`, `;`, `!`, `?`, `%` and units, and inside quotation marks. Only message
 * templates are changed, not the values filled in.
 */
export function typeset(form: string, language: Language): string {
  if (language === 'en') return form;
  return form
    .replace(/ (?=[:;!?%»](?:[\s.,)}]|$))/g, noBreak)
    .replace(/« /g, `«${noBreak}`)
    .replace(new RegExp(`(?<=[\\d}]) (?=(?:${units})(?![\\p{L}\\d’'/-]))`, 'gu'), noBreak);
}
