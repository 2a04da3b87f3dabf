import { lstatSync } from 'node:fs';
import { ConfigError, isDenied, isUnreadable, messageOf, unreadableHint } from '../lib/errors.ts';
import { ifPossible } from '../lib/if-possible.ts';
import { readRegularFile } from '../lib/regular-file.ts';
import { isUtf16 } from '../lib/utf16.ts';
import { chainIn } from './certificates.ts';
import { redacted, shownUrl } from './problems.ts';
import type { Config } from './schema.ts';
import { credentialsFolder, nameIn, secretPath, writtenPath } from './secret-path.ts';

export interface Credentials {
  username?: string;
  password?: string;
  ca?: Buffer;
  cert?: Buffer;
  key?: Buffer;
}

/** Reads the credentials for the broker. Only the courier calls this: the listener never sees a credential. */
export function readCredentials(mqtt: Config['mqtt']): Credentials {
  const credentials: Credentials = {};
  if (mqtt.username) credentials.username = mqtt.username;
  if (mqtt.passwordFile) credentials.password = readPassword(mqtt.passwordFile);
  if (mqtt.caFile) credentials.ca = readSecret('mqtt.caFile', mqtt.caFile);
  if (mqtt.certFile) credentials.cert = readSecret('mqtt.certFile', mqtt.certFile);
  if (mqtt.keyFile) credentials.key = readSecret('mqtt.keyFile', mqtt.keyFile);
  return credentials;
}

/**
 * The credentials as they are at each call: a password that is put right, or an authority that apt renews, is taken
 * without a restart. Where they cannot be read, as while one is replaced, those of before. Throws at once where they
 * cannot be read at all. What systemd hands over stays as it was when the courier started.
 */
export function openCredentials(mqtt: Config['mqtt']): () => Credentials {
  let last = readCredentials(mqtt);
  return () => {
    last = ifPossible(() => readCredentials(mqtt)) ?? last; // the broker says whether those of before still do
    return last;
  };
}

/**
 * When the sensor's certificate ends, or an authority sent with it that ends earlier, UTC. Undefined where there is
 * none, or one without a date.
 */
export function certificateEnd({ cert }: Credentials): string | undefined {
  return cert && ifPossible(() => new Date(Math.min(...chainIn(cert).map(({ validTo }) => Date.parse(validTo)))).toISOString());
}

/**
 * The configuration in a form that may be shown. The user name and the query of the broker's URL count as secrets;
 * files are named but not read.
 */
export function redact(config: Config): Config {
  const { mqtt } = config;
  return { ...config, mqtt: { ...mqtt, url: shownUrl(mqtt.url), ...(mqtt.username ? { username: redacted } : {}) } };
}

const mostPasswordBytes = 65_535; // MQTT 5, 3.1.3.6: the client does not say why it cannot send more

/** Of a wrong file nothing is sent: the broker would learn the private key. */
function readPassword(path: string): string {
  const bytes = readSecret('mqtt.passwordFile', path);
  const holdsPem = bytes.includes('-----BEGIN');
  if (holdsPem || bytes.length > mostPasswordBytes)
    throw new ConfigError(
      `mqtt.passwordFile: expected a password, got ${holdsPem ? 'a key or certificates (PEM)' : `${bytes.length} bytes`}`,
      'name the file that holds the password and nothing else',
    );
  const password = bytes.toString('utf8').trim();
  const other = isUtf16(bytes) ? 'UTF-16' : password.includes('\ufffd') ? 'other bytes' : undefined;
  if (other) throw new ConfigError(`mqtt.passwordFile: expected text in UTF-8, got ${other}`, 'write the password into it anew, as UTF-8');
  return password;
}

function readSecret(key: string, path: string): Buffer {
  const [found, written] = [secretPath(path), writtenPath(path)];
  const isHandedOver = nameIn(path) !== undefined;
  if (isHandedOver && lstatSync(found, { throwIfNoEntry: false })?.isSymbolicLink())
    throw new ConfigError(
      `${key}: expected a file, got a symbolic link at ${written}: systemd does not hand it to the courier`,
      'replace the link with the file itself',
    );
  try {
    return readRegularFile(found);
  } catch (cause) {
    throw new ConfigError(
      `${key}: expected a readable file, got: ${messageOf(cause).replaceAll(found, written)}`,
      isUnreadable(cause)
        ? unreadableHint
        : isHandedOver && !isDenied(cause)
          ? `check that it is there and is a file: sudo ls -l ${credentialsFolder}`
          : 'check that the file exists and that the service user may read it',
      { cause },
    );
  }
}
