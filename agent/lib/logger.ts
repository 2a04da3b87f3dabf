import { pino } from 'pino';
import { openJournal } from './journal.ts';

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
type LogLevel = (typeof logLevels)[number];
export type Logger = Record<'debug' | 'info' | 'warn' | 'error', (fields: object, message: string) => void>;

/**
 * JSON lines on stderr, which systemd keeps; a journal that stands still must make a half neither deaf nor dumb. Sound,
 * scores of quiet moments and free text never go in.
 */
export function openLogger(part: string, level: LogLevel, descriptor = 2): Logger {
  const journal = openJournal(descriptor, (lines) => logger.warn({ lines }, 'lines are missing before the last one: nobody read them, or the disk was full'));
  const logger: Logger = pino({ level, base: { part } }, journal);
  return logger;
}
