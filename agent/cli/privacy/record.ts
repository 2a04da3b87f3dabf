// The one word from `privacy verify`, which runs as root, to the courier: a small file that only root may write, of a
// closed form.
import { lstatSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Verification, verificationSchema } from '../../events/privacy.ts';
import { placeFile } from '../../lib/place-file.ts';

/** Puts the outcome in place of the last one, in one step. Throws as the file system does. */
export function writeVerification(path: string, verification: Verification): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  placeFile(path, `${JSON.stringify(verificationSchema.parse(verification))}\n`, 0o644);
}

/**
 * The outcome of the last verification, or nothing. Nothing either when someone other than root could have written it
 * (a link, another owner, writable by others, a folder that is), or when it has any other form: the listener must have
 * no way to publish through this file.
 */
export function readVerification(path: string): Verification | undefined {
  try {
    for (const place of [path, dirname(path)]) {
      const stats = lstatSync(place);
      if (stats.isSymbolicLink() || stats.uid !== 0 || (stats.mode & 0o022) !== 0) return undefined;
    }
    return verificationSchema.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data;
  } catch {
    return undefined;
  }
}
