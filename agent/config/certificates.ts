import { X509Certificate } from 'node:crypto';

/** All that stand in a file, as PEM. Throws where one cannot be read. */
export function certificatesIn(text: string): X509Certificate[] {
  const begin = '-----BEGIN CERTIFICATE-----';
  const [, ...blocks] = text.split(begin); // linear: a file may begin a thousand and end none
  return blocks.map((block) => new X509Certificate(`${begin}${block}`));
}

/** The certificate that ends last. One without a date counts as ended long ago. */
export function lasting(certificates: readonly X509Certificate[]): X509Certificate | undefined {
  const endOf = ({ validTo }: X509Certificate) => Date.parse(validTo) || Number.NEGATIVE_INFINITY;
  return certificates.toSorted((a, b) => endOf(b) - endOf(a))[0];
}

/**
 * A sensor's certificate and, on the way to the root, the authorities that are sent with it. When the first of them has
 * ended, the broker takes no new connection. Of several authorities of one name the one that ends last counts, as the
 * broker may take any. A root is left out, because the broker has its own. Throws where one cannot be read.
 */
export function chainIn(bytes: Buffer): X509Certificate[] {
  const [own = new X509Certificate(bytes), ...others] = certificatesIn(bytes.toString('latin1'));
  const chain = [own];
  for (let subject: X509Certificate | undefined = own; subject && chain.length <= others.length; ) {
    subject = lasting(others.filter((one) => one.issuer !== one.subject && subject?.checkIssued(one)));
    if (subject) chain.push(subject);
  }
  return chain;
}
