import { basename, dirname, isAbsolute, join, normalize, relative } from 'node:path';
import { holdsKey } from './problems.ts';

export const credentialsFolder = '/etc/tocsin/credentials';

/**
 * Where a secret is: a plain name is a file in /etc/tocsin/credentials, which systemd hands to the courier alone
 * (LoadCredential).
 */
export function secretPath(path: string): string {
  const handedOver = process.env.CREDENTIALS_DIRECTORY;
  const name = nameIn(path);
  return name !== undefined && handedOver ? join(handedOver, `credentials_${name}`) : writtenPath(path);
}

const plain = /^(?!\.)[ -.0-9;-~]+$/; // without a slash: systemd turns folder/name into folder_name

/**
 * The name of a secret that systemd hands over, else undefined. The courier's user could not read that file by its
 * path.
 */
export function nameIn(path: string): string | undefined {
  if (!isAbsolute(path)) return path;
  return dirname(path) === credentialsFolder && plain.test(basename(path)) ? basename(path) : undefined;
}

/** The path of the file itself, not of the copy that systemd hands over. */
export function writtenPath(path: string): string {
  return isAbsolute(path) ? path : join(credentialsFolder, path);
}

/**
 * Whether the text is a name that systemd can hand over unchanged, alone or with the folder before it, or a path to
 * elsewhere; and not the secret itself.
 */
export function namesSecret(path: string): boolean {
  const name = isAbsolute(path) && normalize(path).startsWith(`${credentialsFolder}/`) ? relative(credentialsFolder, path) : path;
  return (isAbsolute(name) && !/\p{Cc}/u.test(name)) || (plain.test(name) && !holdsKey(name));
}
