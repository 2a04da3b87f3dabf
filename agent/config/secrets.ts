import { lstatSync, readFileSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { ConfigError, isDenied, messageOf } from '../lib/errors.ts';
import { holdsKey, redacted, shownUrl } from './problems.ts';
import type { Config } from './schema.ts';

export interface Credentials {
  username?: string;
  password?: string;
  ca?: Buffer;
  cert?: Buffer;
  key?: Buffer;
}

const folder = '/etc/tocsin/credentials';

/** Where a secret lies: a plain name is in /etc/tocsin/credentials, which systemd hands to the courier alone (LoadCredential). */
export function secretPath(path: string, handedOver = process.env.CREDENTIALS_DIRECTORY): string {
  const name = nameIn(path);
  return name !== undefined && handedOver ? join(handedOver, `credentials_${name}`) : writtenPath(path);
}

const plain = /^(?!\.)[ -.0-9;-~]+$/; // of folder/name systemd makes folder_name

/** Its name, where it is one of those that systemd hands over; the courier's user could not read that file by its path. */
function nameIn(path: string): string | undefined {
  if (!isAbsolute(path)) return path;
  return dirname(path) === folder && plain.test(basename(path)) ? basename(path) : undefined;
}

/** Where whoever wrote the file put it. */
function writtenPath(path: string): string {
  return isAbsolute(path) ? path : join(folder, path);
}

/** Whether it is the name of a secret's file, one that systemd hands over under that name, and not the secret itself. */
export function namesSecret(path: string): boolean {
  return isAbsolute(path) || (plain.test(path) && !holdsKey(path));
}

/** Reads what the broker needs. Only the courier calls this: the listener never sees a credential. */
export function readCredentials(mqtt: Config['mqtt']): Credentials {
  const credentials: Credentials = {};
  if (mqtt.username) credentials.username = mqtt.username;
  if (mqtt.passwordFile) credentials.password = readSecret('mqtt.passwordFile', mqtt.passwordFile).toString('utf8').trim();
  if (mqtt.caFile) credentials.ca = readSecret('mqtt.caFile', mqtt.caFile);
  if (mqtt.certFile) credentials.cert = readSecret('mqtt.certFile', mqtt.certFile);
  if (mqtt.keyFile) credentials.key = readSecret('mqtt.keyFile', mqtt.keyFile);
  return credentials;
}

/** The configuration as it may be shown: a user name and what the broker's URL asks for are secrets here, files are named but not read. */
export function redact(config: Config): Config {
  const { mqtt } = config;
  return { ...config, mqtt: { ...mqtt, url: shownUrl(mqtt.url), ...(mqtt.username ? { username: redacted } : {}) } };
}

function readSecret(key: string, path: string): Buffer {
  const [found, written] = [secretPath(path), writtenPath(path)];
  const isHandedOver = nameIn(path) !== undefined;
  if (isHandedOver && lstatSync(found, { throwIfNoEntry: false })?.isSymbolicLink())
    throw new ConfigError(
      `${key}: expected a file, got a symbolic link at ${written}: systemd does not hand it to the courier`,
      'copy the file itself to the place of the link',
    );
  try {
    return readFileSync(found);
  } catch (cause) {
    throw new ConfigError(
      `${key}: expected a readable file, got: ${messageOf(cause).replaceAll(found, written)}`,
      isHandedOver && !isDenied(cause)
        ? `check that it is there, a file: sudo ls -l ${folder}`
        : 'check that the file exists and that the service user may read it',
      { cause },
    );
  }
}
