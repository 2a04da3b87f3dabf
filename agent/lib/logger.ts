import { pino } from 'pino';

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];
export type Logger = Record<'debug' | 'info' | 'warn' | 'error', (fields: object, message: string) => void>;

interface Place {
  write(line: string): void;
}

/**
 * JSON lines, on stderr in the halves (`openJournal`), which systemd keeps. Sound, scores of quiet moments and free
 * text never go in.
 */
export function openLogger(part: string, level: LogLevel, open: (missing: (lines: number) => void) => Place): Logger {
  const place = open((lines) => logger.warn({ lines }, 'lines are missing before the last one: nobody read them, or the disk was full'));
  const logger: Logger = pino({ level, base: { part } }, place);
  return logger;
}
