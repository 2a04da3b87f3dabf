import { execFileSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, type KeyObject } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isDenied, messageOf, ProvisionError } from '../../lib/errors.ts';
import { placeFile, placeNewFile, removeFile } from '../../lib/place-file.ts';
import { readRegularFile } from '../../lib/regular-file.ts';
import { type IdentityPaths, isProvisioned } from './paths.ts';

interface CertificateRequest {
  /** PKCS#10, PEM. */
  readonly request: string;
  readonly publicKeySha256: string;
  /** The key was made by an earlier call, and waits. */
  readonly again: boolean;
}

/**
 * Makes a key that waits for its certificate and the request for it, or shows the request of the key that has none yet,
 * the same to the byte: who has it can tell. What is in force stays until a certificate is installed. Throws a
 * ProvisionError where a sensor that has both is not said to get another.
 */
export function requestCertificate(sensor: string, paths: IdentityPaths, { renew, discard }: { renew?: true; discard?: true }): CertificateRequest {
  const { key, certificate, waitingKey } = paths;
  if (isProvisioned(paths) && !renew)
    throw new ProvisionError(
      `Expected a sensor without a key, got one at ${key}`,
      'sudo tocsin provision --renew makes another; the present key stays in force until the new one is installed',
    );
  if (discard) removeFile(waitingKey);
  // a power cut may have put a key in force before its certificate: `--install` once more will end that
  const halfInForce = existsSync(key) && !existsSync(certificate) && !existsSync(waitingKey) && !renew && !discard;
  const path = halfInForce ? key : waitingKey;
  const again = existsSync(path) || !placeNewFile(path, newKey(), 0o600); // another call may have made one just now
  const made = readKey(path, paths);
  const kept = again ? readRequest(sensor, paths.request, made) : undefined;
  const request = kept ?? signRequest(sensor, path);
  if (kept === undefined) placeFile(paths.request, request, 0o644);
  return { request, publicKeySha256: fingerprintOf(made), again };
}

/**
 * The SHA-256 of the public key (SubjectPublicKeyInfo, DER): request and certificate can be told to belong together by
 * it.
 */
export function fingerprintOf(key: KeyObject): string {
  const spki = (key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' });
  return hash('sha256', spki);
}

/** `path` is one of the two keys of `paths`. */
export function readKey(path: string, { key }: IdentityPaths): KeyObject {
  try {
    return createPrivateKey(readRegularFile(path));
  } catch (cause) {
    const another = `sudo tocsin provision ${path === key ? '--renew' : '--discard'} makes another`;
    throw new ProvisionError(`Expected a private key at ${path}, got: ${messageOf(cause)}`, isDenied(cause) ? 'run it again with sudo' : another, { cause });
  }
}

/** NIST P-256: what every broker takes, and half a millisecond a handshake on a small board. */
function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** The request made before, where it is of this key and in this name. */
function readRequest(sensor: string, path: string, key: KeyObject): string | undefined {
  try {
    const shown = openssl('req', '-verify', '-in', path, '-noout', '-subject', '-nameopt', 'RFC2253', '-pubkey');
    const itsKey = createPublicKey(/-----BEGIN[\s\S]+-----/.exec(shown)?.[0] ?? '');
    return shown.split('\n').includes(`subject=CN=${sensor}`) && fingerprintOf(itsKey) === fingerprintOf(key) ? readFileSync(path, 'utf8') : undefined;
  } catch {
    return undefined; // none, or none any more: another is signed
  }
}

/** PKCS#10 by openssl, which reads the key itself; docs/decisions/0040. A name is a slug, so nothing needs quoting. */
function signRequest(sensor: string, keyPath: string): string {
  try {
    const purposes = ['-addext', 'keyUsage=critical,digitalSignature', '-addext', 'extendedKeyUsage=clientAuth'];
    return openssl('req', '-new', '-sha256', '-key', keyPath, '-subj', `/CN=${sensor}`, ...purposes);
  } catch (cause) {
    throw new ProvisionError(`Expected openssl to sign the request, got: ${messageOf(cause)}`, 'sudo apt install openssl', { cause });
  }
}

/** The machine's own openssl.cnf has no say. */
function openssl(command: string, ...args: string[]): string {
  return execFileSync('openssl', [command, '-config', '/dev/null', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
