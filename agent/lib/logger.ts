import { pino } from 'pino';

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];
export type Logger = Record<'debug' | 'info' | 'warn' | 'error', (fields: object, message: string) => void>;

/** JSON lines on stderr, which systemd keeps. Sound, scores of quiet moments and free text never go in. */
export function openLogger(part: string, level: LogLevel): Logger {
  return pino({ level, base: { part } }, pino.destination({ fd: 2, sync: true }));
}
