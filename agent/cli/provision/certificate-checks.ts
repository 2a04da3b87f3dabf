import type { X509Certificate } from 'node:crypto';
import { ProvisionError } from '../../lib/errors.ts';

/** RFC 5280, 4.2.1.12. */
const clientAuth = '1.3.6.1.5.5.7.3.2';

export function commonNameOf({ subject }: X509Certificate): string | undefined {
  return /^CN=(.*)$/m.exec(subject)?.[1];
}

export function checkName(leaf: X509Certificate, sensor: string): void {
  const name = commonNameOf(leaf);
  if (name !== sensor)
    throw new ProvisionError(
      `Expected a certificate for CN=${sensor}, got CN=${name ?? ''}`,
      "the broker's ACL uses this name: sign the request that this sensor made",
    );
  const purposes = leaf.keyUsage as string[] | undefined; // Node gives the extended key usage under this name
  if (purposes && !purposes.includes(clientAuth))
    throw new ProvisionError(
      `Expected a certificate for client authentication, got one for ${purposes.join(', ')}`,
      'sign it with extendedKeyUsage=clientAuth',
    );
}

/** Whether both dates are dates: OpenSSL shows others as `Bad time value`. */
export function hasDates({ validFrom, validTo }: X509Certificate): boolean {
  return !Number.isNaN(Date.parse(validFrom) + Date.parse(validTo));
}

export function checkDates(leaf: X509Certificate, nowMs: number): void {
  const now = new Date(nowMs).toISOString();
  if (!hasDates(leaf))
    throw new ProvisionError(
      `Expected a certificate valid at ${now}, got one valid from ${leaf.validFrom} to ${leaf.validTo}`,
      'openssl x509 -in FILE -noout -dates shows the same; ask for another',
    );
  if (nowMs < Date.parse(leaf.validFrom))
    throw new ProvisionError(
      `Expected a certificate valid at ${now}, got one valid from ${leaf.validFrom} on`,
      'is the clock right? date; timedatectl shows whether it is synchronised',
    );
  if (nowMs > Date.parse(leaf.validTo))
    throw new ProvisionError(
      `Expected a certificate valid at ${now}, got one that expired on ${leaf.validTo}`,
      'ask for another; if the clock is wrong, set it first',
    );
}

/**
 * From the sensor's certificate over those sent with it to one of the authority's, and on to the root where that stands
 * in its file too (RFC 5280, 6.1, without revocation: that is the broker's). OpenSSL goes that way as well, and trusts
 * nothing under a root that has ended.
 */
export function checkChain(leaf: X509Certificate, between: readonly X509Certificate[], authorities: readonly X509Certificate[], nowMs: number): void {
  const signs = (issuer: X509Certificate, subject: X509Certificate) =>
    issuer.ca && isInForce(issuer, nowMs) && subject.checkIssued(issuer) && signed(issuer, subject);
  let subject = leaf;
  for (let steps = 0; steps <= between.length + authorities.length; steps++) {
    const trusted = authorities.includes(subject);
    if (trusted && (signed(subject, subject) || !authorities.some((one) => signed(one, subject)))) return;
    const next = [...authorities, ...(trusted ? [] : between)].find((one) => one !== subject && signs(one, subject));
    if (!next) break;
    subject = next;
  }
  const unfit = [...authorities, ...between].find((one) => one !== subject && signed(one, subject));
  if (unfit && !isInForce(unfit, nowMs)) throw outOfDate(unfit, nowMs);
  if (unfit)
    throw new ProvisionError(
      `Expected an authority (CA:true, and keyCertSign where it has a key usage), got ${nameOf(unfit)}, which is none`,
      'openssl x509 -in FILE -noout -text shows it; ask the operator for one that may sign',
    );
  throw new ProvisionError(
    `Expected a certificate signed by ${authorities.map((authority) => nameOf(authority)).join(' or ')}, got one of ${nameOf(subject, 'issuer')}`,
    "--ca names the operator's authority; where the broker has another, put both in that file",
  );
}

/**
 * Without a valid self-signed certificate nothing is trusted over TLS, not even the broker: OpenSSL accepts no other
 * end of a chain.
 */
export function checkRoot(authorities: readonly X509Certificate[], path: string, nowMs: number): void {
  const roots = authorities.filter((one) => signed(one, one));
  if (roots.some((one) => isInForce(one, nowMs))) return;
  if (roots[0]) throw outOfDate(roots[0], nowMs);
  throw new ProvisionError(
    `Expected a self-signed root authority in ${path}, got ${authorities.map((one) => `${nameOf(one)} of ${nameOf(one, 'issuer')}`).join(', ')}`,
    'put the root above it into that file too: without it the sensor trusts no broker',
  );
}

export function isInForce({ validFrom, validTo }: X509Certificate, nowMs: number): boolean {
  return Date.parse(validFrom) <= nowMs && nowMs <= Date.parse(validTo);
}

function signed(issuer: X509Certificate, subject: X509Certificate): boolean {
  return subject.issuer === issuer.subject && subject.verify(issuer.publicKey);
}

function outOfDate(authority: X509Certificate, nowMs: number): ProvisionError {
  return new ProvisionError(
    `Expected an authority valid at ${new Date(nowMs).toISOString()}, got ${nameOf(authority)}, from ${authority.validFrom} to ${authority.validTo}`,
    'ask the operator for the one in force; if the clock is wrong, set it first',
  );
}

function nameOf(certificate: X509Certificate, part: 'subject' | 'issuer' = 'subject'): string {
  return certificate[part].replaceAll('\n', ', ');
}
