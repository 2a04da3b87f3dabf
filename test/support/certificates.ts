import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority of a test's own, made with openssl in a folder. */
export function openAuthority(folder: string, name: string) {
  const path = (file: string) => join(folder, file);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const ca = path(`${name}.pem`);
  const caKey = path(`${name}.key`);
  openssl('req', '-x509', ...newKey, '-keyout', caKey, '-out', ca, '-subj', `/CN=${name}`, '-days', '3650');
  return {
    ca,
    /** Signs a certificate for a name (and 127.0.0.1 with `local`), good for `days` from now; -1: expired (openssl goes no further back). */
    issue(subject: string, days: number, alternative = `DNS:${subject}`): Identity {
      const id = `${subject}-${days}`;
      const [key, request, cert, extensions] = [path(`${id}.key`), path(`${id}.csr`), path(`${id}.pem`), path(`${id}.ext`)];
      openssl('req', ...newKey, '-keyout', key, '-out', request, '-subj', `/CN=${subject}`);
      writeFileSync(extensions, `subjectAltName=${alternative}\n`);
      openssl('x509', '-req', '-in', request, '-CA', ca, '-CAkey', caKey, '-days', String(days), '-out', cert, '-extfile', extensions);
      return { cert, key };
    },
  };
}
