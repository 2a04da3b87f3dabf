// The one word from `privacy verify`, which runs as root, to the courier: a small file that only root may write, of a closed form.
import { chmodSync, lstatSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Verification, verificationSchema } from '../../events/privacy.ts';

/** Puts the outcome in place of the last one, in one step. Throws as the file system does. */
export function writeVerification(path: string, verification: Verification): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const beside = `${path}.new`;
  writeFileSync(beside, `${JSON.stringify(verificationSchema.parse(verification))}\n`, { mode: 0o644 });
  chmodSync(beside, 0o644);
  renameSync(beside, path);
}

/**
 * The outcome of the last verification, or nothing. Nothing either when someone other than `owner` could have written it (a
 * link, another owner, writable by others, a folder that is), or when it has any other form: the listener must have no way to
 * publish through this file.
 */
export function readVerification(path: string, owner = 0): Verification | undefined {
  try {
    for (const place of [path, dirname(path)]) {
      const stats = lstatSync(place);
      if (stats.isSymbolicLink() || stats.uid !== owner || (stats.mode & 0o022) !== 0) return undefined;
    }
    return verificationSchema.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data;
  } catch {
    return undefined;
  }
}
