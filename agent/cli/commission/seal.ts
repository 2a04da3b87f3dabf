import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { chmodSync, closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../config/schema.ts';
import { secretPath } from '../../config/secrets.ts';
import { ConfigError, isDenied, messageOf, ProvisionError } from '../../lib/errors.ts';

/** Who signs: the sensor by its key, and the certificate that the operator gave to it. */
export interface Signer {
  /** PEM, SubjectPublicKeyInfo. */
  readonly publicKey: string;
  /** SHA-256 of its DER form. */
  readonly publicKeySha256: string;
  /** PEM. */
  readonly certificate?: string;
  /** A detached signature, ECDSA or RSA over SHA-256, in the form that `openssl dgst -verify` reads. */
  sign(content: string): Buffer;
}

/** Reads the sensor's key, and its certificate where it has one. Throws a ProvisionError. */
export function openSigner({ keyFile, certFile }: Config['mqtt']): Signer {
  const path = secretPath(keyFile ?? 'sensor.key');
  const key = readKey(path);
  if (key.asymmetricKeyType !== 'ec' && key.asymmetricKeyType !== 'rsa')
    throw new ProvisionError(
      `Expected an EC or RSA key at ${path}, got ${key.asymmetricKeyType}`,
      'openssl dgst could not check its signatures; use an EC key',
    );
  const publicKey = createPublicKey(key);
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
    publicKeySha256: createHash('sha256')
      .update(publicKey.export({ type: 'spki', format: 'der' }))
      .digest('hex'),
    ...(certFile === undefined ? {} : { certificate: readCertificate(secretPath(certFile), key) }),
    sign: (content) => sign('sha256', Buffer.from(content), key),
  };
}

function readKey(path: string): KeyObject {
  try {
    return createPrivateKey(readFileSync(path));
  } catch (cause) {
    throw new ProvisionError(
      `Expected the private key of this sensor at ${path}, got: ${messageOf(cause)}`,
      isDenied(cause) ? 'run it again with sudo' : 'sudo tocsin provision makes one',
      {
        cause,
      },
    );
  }
}

function readCertificate(path: string, key: KeyObject): string {
  try {
    const certificate = new X509Certificate(readFileSync(path));
    if (!certificate.checkPrivateKey(key)) throw new Error('one of another key');
    return certificate.toString();
  } catch (cause) {
    throw new ProvisionError(`Expected the certificate of this sensor's key at ${path}, got: ${messageOf(cause)}`, 'correct mqtt.certFile, or mqtt.keyFile', {
      cause,
    });
  }
}

/**
 * Makes `folder` with the files, each beside its signature NAME.sig. The folder takes its name only when all of it is on the
 * disk: it is there whole or not at all.
 */
export function placeSealed(parent: string, name: string, files: Readonly<Record<string, string>>, signer: Signer): string {
  const beside = mkdtempSync(join(parent, `.${name}-`));
  try {
    const place = (file: string, content: string | Buffer) => {
      const descriptor = openSync(join(beside, file), 'wx', 0o644);
      writeFileSync(descriptor, content);
      fsyncSync(descriptor);
      closeSync(descriptor);
    };
    for (const [file, content] of Object.entries(files)) {
      place(file, content);
      place(`${file}.sig`, signer.sign(content));
    }
    place('sensor.pub', signer.publicKey);
    if (signer.certificate) place('sensor.pem', signer.certificate);
    chmodSync(beside, 0o755);
    renameSync(beside, join(parent, name));
    return join(parent, name);
  } catch (error) {
    rmSync(beside, { recursive: true, force: true });
    throw error;
  }
}

/** Whether a report could be placed there, found out before anybody climbs a ladder. Throws a ConfigError. */
export function checkParent(parent: string): void {
  try {
    const probe = mkdtempSync(join(parent, '.commission-'));
    writeFileSync(join(probe, 'probe'), '');
    rmSync(probe, { recursive: true });
  } catch (cause) {
    throw new ConfigError(`Expected to write into ${parent}, got: ${messageOf(cause)}`, 'name a folder that exists: --out', { cause });
  }
}
