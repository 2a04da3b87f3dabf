// What the files of the credentials hold, before they are shown to anybody.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Credentials } from '../../config/secrets.ts';
import { ifPossible } from '../../lib/if-possible.ts';
import { isUtf16 } from '../../lib/utf16.ts';
import { commonNameOf } from '../provision/certificate-checks.ts';
import { type Text, text } from '../translate.ts';
import { type Finding, fail } from './check.ts';

/** The first file that TLS cannot use; of an authority in DER Node says nothing, and trusts nobody. */
export function unusableFile({ ca, cert, key }: Credentials): Finding | undefined {
  for (const [setting, bytes] of [
    ['mqtt.caFile', ca],
    ['mqtt.certFile', cert],
  ] as const)
    if (bytes && !certificateOf(bytes)) return fail('doctor.tls.notCertificate', { setting, what: contentOf(bytes) });
  if (!key) return undefined;
  const own = ifPossible(() => createPrivateKey(key));
  if (!own) return fail('doctor.tls.notKey', { what: contentOf(key) });
  return cert && !certificateOf(cert)?.checkPrivateKey(own) ? fail('doctor.tls.key') : undefined;
}

/** Whose certificate the sensor shows, where it is not its own. */
export function nameOfStranger({ cert }: Credentials, sensor: string): string | undefined {
  const shown = cert && certificateOf(cert);
  if (!shown) return undefined;
  const name = commonNameOf(shown) ?? '';
  return name === sensor ? undefined : name;
}

function certificateOf(bytes: Buffer): X509Certificate | undefined {
  return bytes.includes('-----BEGIN') ? ifPossible(() => new X509Certificate(bytes)) : undefined;
}

function contentOf(bytes: Buffer): Text {
  if (isUtf16(bytes)) return text('doctor.tls.content.utf16');
  const kind = /-----BEGIN ([A-Z0-9 ]+)-----/.exec(bytes.toString('latin1'))?.[1] ?? '';
  if (kind.includes('ENCRYPTED') || bytes.includes('Proc-Type: 4,ENCRYPTED')) return text('doctor.tls.content.locked');
  if (kind.endsWith('PRIVATE KEY')) return text('doctor.tls.content.key');
  if (kind.endsWith('REQUEST')) return text('doctor.tls.content.request');
  if (kind.endsWith('CERTIFICATE')) return text('doctor.tls.content.certificate');
  return text(bytes[0] === 0x30 ? 'doctor.tls.content.der' : 'doctor.tls.content.other');
}
