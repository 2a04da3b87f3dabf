import type { X509Certificate } from 'node:crypto';
import { ProvisionError } from '../../lib/errors.ts';

/** RFC 5280, 4.2.1.12. */
const clientAuth = '1.3.6.1.5.5.7.3.2';

export function checkName(leaf: X509Certificate, sensor: string): void {
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

export function checkDates(leaf: X509Certificate, nowMs: number): void {
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
export function checkChain(leaf: X509Certificate, between: readonly X509Certificate[], authorities: readonly X509Certificate[], nowMs: number): void {
  const isInForce = ({ validFrom, validTo }: X509Certificate) => Date.parse(validFrom) <= nowMs && nowMs <= Date.parse(validTo);
  const signed = (issuer: X509Certificate, subject: X509Certificate) => subject.issuer === issuer.subject && subject.verify(issuer.publicKey);
  const signs = (issuer: X509Certificate, subject: X509Certificate) => issuer.ca && isInForce(issuer) && subject.checkIssued(issuer) && signed(issuer, subject);
  let subject = leaf;
  for (let steps = 0; steps <= between.length; steps++) {
    if (authorities.some((authority) => signs(authority, subject))) return;
    const next = between.find((one) => one !== subject && signs(one, subject));
    if (!next) break;
    subject = next;
  }
  const unfit = [...authorities, ...between].find((one) => one !== subject && signed(one, subject));
  if (unfit && !isInForce(unfit))
    throw new ProvisionError(
      `Expected an authority valid at ${new Date(nowMs).toISOString()}, got ${nameOf(unfit)}, from ${unfit.validFrom} to ${unfit.validTo}`,
      'ask the operator for the one in force; if the clock is wrong, set it first',
    );
  if (unfit)
    throw new ProvisionError(
      `Expected an authority (CA:true, and keyCertSign where it has a key usage), got ${nameOf(unfit)}, which is none`,
      'openssl x509 -in FILE -noout -text shows it; the operator makes one that may sign',
    );
  throw new ProvisionError(
    `Expected a certificate signed by ${authorities.map((authority) => nameOf(authority)).join(' or ')}, got one of ${nameOf(subject, 'issuer')}`,
    "--ca names the operator's authority; where the broker has another, put both in that file",
  );
}

/** Without one that signed itself nothing is trusted over TLS, the broker neither: OpenSSL takes no other for the end of a chain. */
export function checkRoot(authorities: readonly X509Certificate[], path: string): void {
  if (authorities.some((one) => one.subject === one.issuer && one.verify(one.publicKey))) return;
  throw new ProvisionError(
    `Expected an authority that signed itself in ${path}, got ${authorities.map((one) => `${nameOf(one)} of ${nameOf(one, 'issuer')}`).join(', ')}`,
    'put the root above it into that file too: without it the sensor trusts no broker',
  );
}

function nameOf(certificate: X509Certificate, part: 'subject' | 'issuer' = 'subject'): string {
  return certificate[part].replaceAll('\n', ', ');
}
