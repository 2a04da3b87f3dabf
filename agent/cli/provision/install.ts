import { type KeyObject, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { messageOf, ProvisionError } from '../../lib/errors.ts';
import { moveFile, placeFile } from '../../lib/place-file.ts';
import type { IdentityPaths } from './paths.ts';
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

/** RFC 5280, 4.2.1.12. */
const clientAuth = '1.3.6.1.5.5.7.3.2';

/**
 * Installs the certificate that answers the request: checked against the key, the sensor's name, the dates and the authority
 * first. INVARIANT: nothing in force changes before everything new is on the disk; then the key goes first and the authority
 * last, for until the new pair is whole the broker known is the one of the old authority. A second call with the same files
 * ends what a power cut between these renames left half done. Throws a ProvisionError.
 */
export function installCertificate(
  sensor: string,
  paths: IdentityPaths,
  files: { certificate: string; authority?: string },
  nowMs: number,
): InstalledCertificate {
  const [leaf, ...between] = readCertificates(files.certificate);
  const authorityText = readText(files.authority ?? paths.authority);
  const authorities = parse(authorityText, files.authority ?? paths.authority);
  const waits = keyOf(leaf as X509Certificate, paths);
  checkName(leaf as X509Certificate, sensor);
  checkDates(leaf as X509Certificate, nowMs);
  checkChain(leaf as X509Certificate, between, authorities, nowMs);

  const certificateText = [leaf as X509Certificate, ...between].join('');
  const again = !waits && holds(paths.certificate, certificateText) && holds(paths.authority, authorityText);
  if (!again) {
    const texts = new Map([[paths.certificate, certificateText]]);
    if (files.authority !== undefined) texts.set(paths.authority, authorityText);
    placeBeside(texts);
    if (waits) moveFile(paths.waitingKey, paths.key);
    for (const path of texts.keys()) moveFile(besideOf(path), path);
  }
  if (!existsSync(paths.waitingKey)) rmSync(paths.request, { force: true }); // else it is the request of the key that waits
  const { issuer, validFrom, validTo, fingerprint256 } = leaf as X509Certificate;
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

const besideOf = (path: string) => `${path}.new`;

/** All of them, or none. */
function placeBeside(texts: ReadonlyMap<string, string>): void {
  const placed: string[] = [];
  try {
    for (const [path, text] of texts) {
      placeFile(besideOf(path), text, 0o600);
      placed.push(besideOf(path));
    }
  } catch (error) {
    for (const path of placed) rmSync(path, { force: true });
    throw error;
  }
}

/** True for the key that waits, false for the one in force: a certificate may be renewed with the same key. */
function keyOf(leaf: X509Certificate, { waitingKey, key }: IdentityPaths): boolean {
  const matches = (path: string) => existsSync(path) && leaf.checkPrivateKey(readKey(path));
  if (matches(waitingKey)) return true;
  if (matches(key)) return false;
  if (!existsSync(waitingKey) && !existsSync(key))
    throw new ProvisionError(`Expected a key of this sensor at ${waitingKey}, got none`, 'sudo tocsin provision first');
  const own: KeyObject = readKey(existsSync(waitingKey) ? waitingKey : key);
  throw new ProvisionError(
    `Expected a certificate for the key ${fingerprintOf(own).slice(0, 16)} of this sensor, got one for ${fingerprintOf(leaf.publicKey).slice(0, 16)}`,
    'sudo tocsin provision prints the request that is to be signed',
  );
}

function checkName(leaf: X509Certificate, sensor: string): void {
  const name = /^CN=(.*)$/m.exec(leaf.subject)?.[1];
  if (name !== sensor)
    throw new ProvisionError(
      `Expected a certificate for CN=${sensor}, got CN=${name ?? ''}`,
      "the broker's ACL goes by this name: sign the sensor's own request",
    );
  const purposes = leaf.keyUsage as string[] | undefined; // Node gives the extended key usage under this name
  if (purposes && !purposes.includes(clientAuth))
    throw new ProvisionError(
      `Expected a certificate for client authentication, got one for ${purposes.join(', ')}`,
      'sign it with extendedKeyUsage=clientAuth',
    );
}

function checkDates(leaf: X509Certificate, nowMs: number): void {
  const now = new Date(nowMs).toISOString();
  if (nowMs < Date.parse(leaf.validFrom))
    throw new ProvisionError(
      `Expected a certificate valid at ${now}, got one from ${leaf.validFrom} on`,
      'is the clock right? date; timedatectl shows whether it is synchronised',
    );
  if (nowMs > Date.parse(leaf.validTo))
    throw new ProvisionError(
      `Expected a certificate valid at ${now}, got one that ended ${leaf.validTo}`,
      'ask for another; if the clock is wrong, set it first',
    );
}

/** From the sensor's certificate over those sent with it to one of the authority's (RFC 5280, 6.1, without revocation: that is the broker's). */
function checkChain(leaf: X509Certificate, between: readonly X509Certificate[], authorities: readonly X509Certificate[], nowMs: number): void {
  const signs = (issuer: X509Certificate, subject: X509Certificate) =>
    issuer.ca && nowMs <= Date.parse(issuer.validTo) && subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
  let subject = leaf;
  for (let steps = 0; steps <= between.length; steps++) {
    if (authorities.some((authority) => signs(authority, subject))) return;
    const next = between.find((one) => one !== subject && signs(one, subject));
    if (!next) break;
    subject = next;
  }
  throw new ProvisionError(
    `Expected a certificate signed by ${authorities.map((authority) => nameOf(authority)).join(' or ')}, got one of ${nameOf(subject, 'issuer')}`,
    "--ca names the operator's authority; where the broker has another, put both in that file",
  );
}

function holds(path: string, text: string): boolean {
  return existsSync(path) && readFileSync(path, 'utf8') === text;
}

function nameOf(certificate: X509Certificate, part: 'subject' | 'issuer' = 'subject'): string {
  return certificate[part].replaceAll('\n', ', ');
}

function readCertificates(path: string): X509Certificate[] {
  return parse(readText(path), path);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new ProvisionError(`Expected a file at ${path}, got: ${messageOf(cause)}`, 'sudo tocsin provision --install sensor.pem --ca ca.pem', { cause });
  }
}

function parse(text: string, path: string): X509Certificate[] {
  if (/PRIVATE KEY/.test(text))
    throw new ProvisionError(`Expected certificates alone in ${path}, got a private key`, "a key must never travel: have the sensor's own request signed");
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new ProvisionError(`Expected a certificate (PEM) in ${path}, got none`, 'openssl x509 -in FILE -text shows what it is');
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw new ProvisionError(`Expected a certificate (PEM) in ${path}, got: ${messageOf(cause)}`, 'openssl x509 -in FILE -text shows what it is', { cause });
  }
}
