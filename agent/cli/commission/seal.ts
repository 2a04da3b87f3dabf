import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { certificatesIn } from '../../config/certificates.ts';
import type { Config } from '../../config/schema.ts';
import { secretPath } from '../../config/secret-path.ts';
import { exitCodes, isDenied, isFull, messageOf, ProvisionError, TocsinError } from '../../lib/errors.ts';
import { ifPossible } from '../../lib/if-possible.ts';
import { giveRights, moveFile } from '../../lib/place-file.ts';
import { readRegularFile } from '../../lib/regular-file.ts';
import { identityPaths } from '../provision/paths.ts';
import { fingerprintOf } from '../provision/request.ts';

/** Who signs: the sensor by its key, and the certificate that the operator gave to it. */
export interface Signer {
  /** PEM, SubjectPublicKeyInfo. */
  readonly publicKey: string;
  /** SHA-256 of its DER form. */
  readonly publicKeySha256: string;
  /** PEM, and behind it those between it and the operator's authority, if any. */
  readonly certificate?: string;
  /** A detached signature, ECDSA or RSA over SHA-256, in the form that `openssl dgst -verify` reads. */
  sign(content: string): Buffer;
}

/** Reads the sensor's key, and its certificate where it has one. Throws a ProvisionError. */
export function openSigner(mqtt: Config['mqtt']): Signer {
  const { certFile } = mqtt;
  const { key: path, waitingKey } = identityPaths(mqtt);
  const key = readKey(path, waitingKey);
  if (key.asymmetricKeyType !== 'ec' && key.asymmetricKeyType !== 'rsa')
    throw new ProvisionError(
      `Expected an EC or RSA key at ${path}, got ${key.asymmetricKeyType}`,
      'openssl dgst could not check its signatures; use an EC key',
    );
  const publicKey = createPublicKey(key);
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
    publicKeySha256: fingerprintOf(publicKey),
    ...(certFile === undefined ? {} : { certificate: readCertificate(secretPath(certFile), key) }),
    sign: (content) => sign('sha256', Buffer.from(content), key),
  };
}

function readKey(path: string, waiting: string): KeyObject {
  try {
    return createPrivateKey(readRegularFile(path));
  } catch (cause) {
    const what = `Expected the private key of this sensor at ${path}, got: ${messageOf(cause)}`;
    if (isDenied(cause)) throw new ProvisionError(what, 'run it again with sudo', { cause });
    if (existsSync(waiting))
      throw new ProvisionError(what, 'its request waits for a certificate: sudo tocsin provision --install CERTIFICATE --ca CA', { cause });
    throw new ProvisionError(what, 'sudo tocsin provision makes one', { cause });
  }
}

function readCertificate(path: string, key: KeyObject): string {
  try {
    const [own, ...between] = certificatesIn(readRegularFile(path).toString('utf8'));
    if (!own) throw new Error('none (PEM)');
    if (!own.checkPrivateKey(key)) throw new Error('one for another key');
    return [own, ...between].join('');
  } catch (cause) {
    throw new ProvisionError(`Expected the certificate of this sensor's key at ${path}, got: ${messageOf(cause)}`, 'correct mqtt.certFile, or mqtt.keyFile', {
      cause,
    });
  }
}

/**
 * Makes `folder` with the files, each beside its signature NAME.sig. The folder takes its name only when all of it is
 * on the disk: it is there whole or not at all. Throws a TocsinError.
 */
export function placeSealed(parent: string, name: string, files: Readonly<Record<string, string>>, signer: Signer): string {
  const contents = new Map<string, string | Buffer>([['sensor.pub', signer.publicKey]]);
  for (const [file, content] of Object.entries(files)) contents.set(file, content).set(`${file}.sig`, signer.sign(content));
  if (signer.certificate) contents.set('sensor.pem', signer.certificate);
  let beside: string | undefined;
  try {
    beside = mkdtempSync(join(parent, `.${name}-`));
    for (const [file, content] of contents) writeFileSync(join(beside, file), content, { flag: 'wx', mode: 0o644, flush: true });
    giveRights(beside, 0o755);
    moveFile(beside, join(parent, name));
    return join(parent, name);
  } catch (cause) {
    if (beside !== undefined) removeWhereItCan(beside);
    throw new TocsinError(
      `Expected to write the report into ${parent}, got: ${messageOf(cause)}`,
      'make room there (df -h), or name another folder: --out',
      exitCodes.failure,
      { cause },
    );
  }
}

const probeBytes = 256 * 1024; // more than a report takes: a full disk takes empty files

/** Whether a report could be placed there, found out before anybody climbs a ladder. Throws a TocsinError. */
export function checkParent(parent: string): void {
  let probe: string | undefined;
  try {
    probe = mkdtempSync(join(parent, '.commission-'));
    writeFileSync(join(probe, 'probe'), Buffer.alloc(probeBytes));
  } catch (cause) {
    throw new TocsinError(
      `Expected to write into ${parent}, got: ${messageOf(cause)}`,
      isFull(cause) ? 'make room there (df -h), or name another folder: --out' : 'name a folder that exists and that you may write to: --out',
      isFull(cause) ? exitCodes.failure : exitCodes.usage,
      { cause },
    );
  } finally {
    if (probe !== undefined) removeWhereItCan(probe);
  }
}

/** A folder gone read-only keeps what is in it, which is told by what was to be written there. */
export function removeWhereItCan(path: string): void {
  ifPossible(() => rmSync(path, { recursive: true, force: true }));
}
