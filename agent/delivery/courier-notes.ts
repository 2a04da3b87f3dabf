import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { hasCode, messageOf } from '../lib/errors.ts';
import { ifPossible } from '../lib/if-possible.ts';
import type { Logger } from '../lib/logger.ts';
import { placeFile, removeFile } from '../lib/place-file.ts';

const bootId = z.uuid();
const notesSchema = z.strictObject({
  format: z.literal(1),
  /** Hexadecimal, of 256 bits. Names that the listener made up are replaced by means of it. */
  secret: z.string().regex(/^[0-9a-f]{64}$/),
  /** The latest, oldest first. */
  boots: z.array(bootId).max(64),
  models: z.array(z.strictObject({ name: z.string().max(32), version: z.string().max(32) })).max(16),
  allowance: z.strictObject({ bootId, monotonicMs: z.number().min(0), messages: z.number().int().min(0) }).optional(),
});
type Notes = z.infer<typeof notesSchema>;

/** What the courier knows by itself and must not learn from the listener. */
export interface CourierNotes {
  readonly current: Readonly<Notes>;
  /** Replaces parts of it. Throws as the file system does; in memory it has been replaced all the same. */
  change(parts: Partial<Notes>): void;
}

export const notesName = 'notes.json';

/** Whether a file holds notes and nothing else. Throws where it cannot be read. */
export function isCourierNotes(path: string): boolean {
  const text = readFileSync(path, 'utf8');
  const { data } = notesSchema.safeParse(ifPossible(() => JSON.parse(text)));
  return data !== undefined && text === textOf(data);
}

/** Whether a courier that was killed while it wrote has left a file of this name. */
export function isUnfinished(name: string): boolean {
  return name.startsWith(`${notesName}.`) && name.endsWith('.tmp');
}

function textOf(notes: Notes): string {
  return `${JSON.stringify(notes)}\n`;
}

/**
 * Opens the notes in a folder that the listener cannot write. Without a folder, or where they cannot be read or are of
 * another form, they begin anew; without a folder they last as long as the process.
 */
export function openCourierNotes(folder: string | undefined, logger: Logger): CourierNotes {
  const path = folder === undefined ? undefined : join(folder, notesName);
  let notes: Notes = { format: 1, secret: randomBytes(32).toString('hex'), boots: [], models: [] };
  if (path !== undefined)
    try {
      notes = notesSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
    } catch (error) {
      if (!hasCode(error, /^ENOENT$/)) logger.warn({ path, reason: messageOf(error) }, 'the notes of the courier cannot be read, and begin anew');
    }
  if (folder !== undefined) ifPossible(() => removeUnfinished(folder));
  return {
    get current() {
      return notes;
    },
    change(parts) {
      notes = { ...notes, ...parts };
      if (path !== undefined) placeFile(path, textOf(notes), 0o600);
    },
  };
}

function removeUnfinished(folder: string): void {
  for (const name of readdirSync(folder).filter(isUnfinished)) removeFile(join(folder, name));
}
