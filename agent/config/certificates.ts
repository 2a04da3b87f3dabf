import { X509Certificate } from 'node:crypto';

/** All that stand in a file, as PEM. Throws where one cannot be read. */
export function certificatesIn(text: string): X509Certificate[] {
  const begin = '-----BEGIN CERTIFICATE-----';
  const [, ...blocks] = text.split(begin); // linear: a file may begin a thousand and end none
  return blocks.map((block) => new X509Certificate(`${begin}${block}`));
}

/** The certificate that ends last. One without a date counts as ended long ago. */
export function lasting(certificates: readonly X509Certificate[]): X509Certificate | undefined {
  return certificates.toSorted((a, b) => endOf(b) - endOf(a))[0];
}

/**
 * Of a sensor's certificate and the authorities between it and the root, which are sent with it, the one that ends
 * first: after that the broker takes no new connection. Of several authorities of one name the one that ends last
 * counts, as the broker may take any. A root counts nothing, because the broker has its own. Throws where one cannot be
 * read.
 */
export function firstToEnd(bytes: Buffer): X509Certificate {
  const [own = new X509Certificate(bytes), ...others] = certificatesIn(bytes.toString('latin1'));
  let [first, subject] = [own, own];
  for (let steps = 0; steps < others.length; steps++) {
    const issuer = lasting(others.filter((one) => one.issuer !== one.subject && subject.checkIssued(one)));
    if (!issuer) break;
    if (endOf(issuer) < endOf(first)) first = issuer;
    subject = issuer;
  }
  return first;
}

function endOf({ validTo }: X509Certificate): number {
  const end = Date.parse(validTo);
  return Number.isNaN(end) ? Number.NEGATIVE_INFINITY : end;
}
