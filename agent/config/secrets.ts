import { lstatSync, readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { ConfigError, messageOf } from '../lib/errors.ts';
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
  if (isAbsolute(path)) return path;
  return handedOver ? join(handedOver, `credentials_${path}`) : join(folder, path);
}

/** Whether it is the name of a secret's file, one that systemd hands over under that name, and not the secret itself. */
export function namesSecret(path: string): boolean {
  return isAbsolute(path) || (/^(?!\.)[ -.0-9;-~]+$/.test(path) && !holdsKey(path)); // of folder/name it makes folder_name
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
  const found = secretPath(path);
  if (!isAbsolute(path) && lstatSync(found, { throwIfNoEntry: false })?.isSymbolicLink())
    throw new ConfigError(
      `${key}: expected a file, got a symbolic link at ${found}: systemd does not hand it to the courier`,
      'copy the file itself to the place of the link',
    );
  try {
    return readFileSync(found);
  } catch (cause) {
    throw new ConfigError(`${key}: expected a readable file, got: ${messageOf(cause)}`, 'check that the file exists and that the service user may read it', {
      cause,
    });
  }
}
