import { basename, dirname, isAbsolute, join } from 'node:path';
import { holdsKey } from './problems.ts';

export const credentialsFolder = '/etc/tocsin/credentials';

/** Where a secret lies: a plain name is in /etc/tocsin/credentials, which systemd hands to the courier alone (LoadCredential). */
export function secretPath(path: string, handedOver = process.env.CREDENTIALS_DIRECTORY): string {
  const name = nameIn(path);
  return name !== undefined && handedOver ? join(handedOver, `credentials_${name}`) : writtenPath(path);
}

const plain = /^(?!\.)[ -.0-9;-~]+$/; // of folder/name systemd makes folder_name

/** Its name, where it is one of those that systemd hands over; the courier's user could not read that file by its path. */
export function nameIn(path: string): string | undefined {
  if (!isAbsolute(path)) return path;
  return dirname(path) === credentialsFolder && plain.test(basename(path)) ? basename(path) : undefined;
}

/** Where whoever wrote the file put it. */
export function writtenPath(path: string): string {
  return isAbsolute(path) ? path : join(credentialsFolder, path);
}

/** Whether it is the name of a secret's file, one that systemd hands over under that name, and not the secret itself. */
export function namesSecret(path: string): boolean {
  return isAbsolute(path) || (plain.test(path) && !holdsKey(path));
}
