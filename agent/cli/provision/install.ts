import type { KeyObject, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { certificatesIn } from '../../config/certificates.ts';
import { hasCode, isDenied, messageOf, ProvisionError } from '../../lib/errors.ts';
import { giveRights, moveFile, placeFile, removeFile } from '../../lib/place-file.ts';
import { readNamedFile } from '../../lib/regular-file.ts';
import { isUtf16, utf16Refusal } from '../../lib/utf16.ts';
import { checkChain, checkDates, checkName, checkRoot, isInForce } from './certificate-checks.ts';
import { type IdentityPaths, isProvisioned } from './paths.ts';
import { fingerprintOf, readKey } from './request.ts';

export interface InstalledCertificate {
  readonly sensor: string;
  readonly issuer: string;
  readonly validFrom: string;
  readonly validTo: string;
  readonly sha256: string;
  readonly key: string;
  readonly certificate: string;
  readonly authority: string;
  /** Certificate and authority were in force already, and nothing was written. */
  readonly again: boolean;
}

/**
 * Installs the certificate that answers the request: checked against the key, the sensor's name, the dates and the
 * authority first. INVARIANT: nothing in force changes before everything new is on the disk; then the key goes first
 * and the authority last, for until the new pair is whole the broker known is the one of the old authority. A second
 * call with the same files ends what a power cut between these renames left half done. Throws a ProvisionError.
 */
export function installCertificate(
  sensor: string,
  paths: IdentityPaths,
  files: { certificate: string; authority: string | undefined },
  nowMs: number,
): InstalledCertificate {
  const certificates = parse(readText(files.certificate), files.certificate);
  const authorityPath = files.authority ?? paths.authority;
  // behind other text on its line, a blank or the end of another, OpenSSL reads none: the sensor would trust no broker
  const authorityText = readText(authorityPath, files.authority !== undefined).replaceAll(/(?<=[^\n])-----BEGIN CERTIFICATE-----/g, '\n$&');
  const authorities = parse(authorityText, authorityPath);
  const { leaf, waits } = findOwn(certificates, paths, nowMs);
  const between = certificates.filter((one) => !one.publicKey.equals(leaf.publicKey));
  checkName(leaf, sensor);
  checkDates(leaf, nowMs);
  checkChain(leaf, between, authorities, nowMs);
  checkRoot(authorities, authorityPath, nowMs);

  const certificateText = [leaf, ...between].join('');
  if (files.authority !== undefined && !holds(paths.authority, authorityText)) refuseOfSystem(paths.authority);
  const again = !waits && holds(paths.certificate, certificateText) && holds(paths.authority, authorityText);
  if (!again) {
    const texts = new Map([[paths.certificate, certificateText]]);
    if (files.authority !== undefined) texts.set(paths.authority, authorityText);
    if (waits) takeRights(paths.waitingKey, paths.key);
    placeBeside(texts);
    if (waits) moveFile(paths.waitingKey, paths.key);
    for (const path of texts.keys()) moveFile(besideOf(path), path);
  }
  if (!existsSync(paths.waitingKey)) removeFile(paths.request); // else it is the request of the key that waits
  const { issuer, validFrom, validTo, fingerprint256 } = leaf;
  return {
    sensor,
    issuer: issuer.replaceAll('\n', ', '),
    validFrom: new Date(validFrom).toISOString(),
    validTo: new Date(validTo).toISOString(),
    sha256: fingerprint256.replaceAll(':', '').toLowerCase(),
    key: paths.key,
    certificate: paths.certificate,
    authority: paths.authority,
    again,
  };
}

/**
 * `--ca` replaces the whole file. The machine's own list of authorities, which a configuration may name where a public
 * one signed the broker's certificate, is what apt and every other program trusts.
 */
function refuseOfSystem(path: string): void {
  const folder = dirname(path);
  const place = existsSync(folder) ? realpathSync(folder) : folder;
  if (!/^\/(etc\/ssl|usr)(\/|$)/.test(place)) return;
  throw new ProvisionError(
    `Expected mqtt.caFile to name a file of this sensor alone, got ${path}, which is the system's`,
    'name another one in the configuration, for instance mqtt.caFile: ca.pem; --ca then puts the authority there',
  );
}

const besideOf = (path: string) => `${path}.new`;

/** All of them, or none. */
function placeBeside(texts: ReadonlyMap<string, string>): void {
  const placed: string[] = [];
  try {
    for (const [path, text] of texts) {
      placeFile(besideOf(path), text, 0o600);
      placed.push(besideOf(path));
      takeRights(besideOf(path), path);
    }
  } catch (error) {
    for (const path of placed) removeFile(path);
    throw error;
  }
}

/** Owner and mode of the file that is replaced: outside of the credentials' folder the courier reads it itself. */
function takeRights(beside: string, path: string): void {
  const there = statSync(path, { throwIfNoEntry: false });
  if (there) giveRights(beside, there.mode & 0o777, there);
}

/**
 * The certificate of this sensor's key, wherever it stands in the file: `openssl pkcs7 -print_certs` and some
 * authorities put their own first. Of several the one in force that lasts longest. `waits` is true for the key that
 * waits, false for the one in force: a certificate may be renewed with the same key.
 */
function findOwn(certificates: readonly X509Certificate[], paths: IdentityPaths, nowMs: number): { leaf: X509Certificate; waits: boolean } {
  const keys: KeyObject[] = [];
  for (const path of [paths.waitingKey, paths.key]) {
    const own = keyAt(path, paths);
    if (!own) continue;
    const ofKey = certificates.filter((one) => one.checkPrivateKey(own)).sort((a, b) => Date.parse(b.validTo) - Date.parse(a.validTo));
    const leaf = ofKey.find((one) => isInForce(one, nowMs)) ?? ofKey[0];
    if (leaf) return { leaf, waits: path === paths.waitingKey };
    keys.push(own);
  }
  const [own] = keys;
  if (!own) throw new ProvisionError(`Expected a key of this sensor at ${paths.waitingKey}, got none`, 'sudo tocsin provision first');
  throw new ProvisionError(
    `Expected a certificate for the key ${fingerprintOf(own).slice(0, 16)} of this sensor, got one for ${certificates.map((one) => fingerprintOf(one.publicKey).slice(0, 16)).join(', ')}`,
    isProvisioned(paths)
      ? 'sudo tocsin provision --renew prints the request that is to be signed'
      : 'sudo tocsin provision prints the request that is to be signed',
  );
}

function keyAt(path: string, paths: IdentityPaths): KeyObject | undefined {
  try {
    return readKey(path, paths);
  } catch (error) {
    if (hasCode(error, /^ENOENT$/)) return undefined;
    throw error;
  }
}

function holds(path: string, text: string): boolean {
  return existsSync(path) && readFileSync(path, 'utf8') === text;
}

const mostBytes = 1_000_000; // more than a list of all public authorities

function readText(path: string, named = true): string {
  let bytes: Buffer;
  try {
    bytes = readNamedFile(path, mostBytes);
  } catch (cause) {
    const otherwise = named ? 'check the path: ls shows what is there' : 'sudo tocsin provision --install sensor.pem --ca ca.pem';
    const hint = isDenied(cause) ? 'run it again with sudo' : otherwise;
    throw new ProvisionError(`Expected a file at ${path}, got: ${messageOf(cause)}`, hint, { cause });
  }
  if (isUtf16(bytes)) throw new ProvisionError(...utf16Refusal(path));
  return bytes.toString('utf8');
}

function parse(text: string, path: string): X509Certificate[] {
  if (/PRIVATE KEY/.test(text))
    throw new ProvisionError(
      `Expected certificates alone in ${path}, got a private key`,
      'a private key must never leave its sensor: have the request of this sensor signed',
    );
  let certificates: X509Certificate[];
  try {
    certificates = certificatesIn(text);
    for (const one of certificates) one.publicKey; // read when it is first asked for: a damaged one throws
  } catch (cause) {
    throw new ProvisionError(`Expected a certificate (PEM) in ${path}, got: ${messageOf(cause)}`, 'openssl x509 -in FILE -text shows what it is', { cause });
  }
  if (certificates.length > 0) return certificates;
  if (/-----BEGIN (NEW )?CERTIFICATE REQUEST-----/.test(text))
    throw new ProvisionError(
      `Expected a certificate (PEM) in ${path}, got a certificate request`,
      'send the request to the authority that signs; --install takes the certificate that comes back',
    );
  throw new ProvisionError(
    `Expected a certificate (PEM) in ${path}, got none`,
    /BEGIN CERTIFICATE/.test(text)
      ? 'before and behind BEGIN CERTIFICATE stand five hyphens, no dashes: ask for the file itself, or type them anew'
      : 'from DER: openssl x509 -in FILE -out sensor.pem; from PKCS#7 (p7b): openssl pkcs7 -print_certs -in FILE -out sensor.pem, with -inform DER if it is DER',
  );
}
