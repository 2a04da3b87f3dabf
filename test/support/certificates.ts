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
    /** A certificate that is valid only from tomorrow on. */
    issueEarly(subject: string): Identity {
      const [key, request, cert] = [path(`${subject}-early.key`), path(`${subject}-early.csr`), path(`${subject}-early.pem`)];
      openssl('req', ...newKey, '-keyout', key, '-out', request, '-subj', `/CN=${subject}`);
      const config = path(`${subject}-early.conf`);
      const index = path(`${subject}-early.index`);
      writeFileSync(index, '');
      writeFileSync(
        config,
        `[ca]\ndefault_ca=x\n[x]\ndatabase=${index}\nnew_certs_dir=${folder}\nserial=${index}.serial\ndefault_md=sha256\npolicy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=DNS:${subject}\n`,
      );
      const day = (ahead: number) => `${new Date(Date.now() + ahead * 86_400_000).toISOString().slice(0, 19).replace(/[-T:]/g, '')}Z`;
      const dates = ['-startdate', day(1), '-enddate', day(400)];
      openssl('ca', '-batch', '-notext', '-config', config, '-cert', ca, '-keyfile', caKey, '-rand_serial', ...dates, '-in', request, '-out', cert);
      return { cert, key };
    },
    /** A list of revoked certificates with these in it. */
    revocations(...revoked: Identity[]): string {
      const [settings, database, list] = [path(`${name}.cnf`), path(`${name}.index`), path(`${name}.crl`)];
      writeFileSync(database, '');
      writeFileSync(settings, `[ca]\ndefault_ca=d\n[d]\ndatabase=${database}\ndefault_md=sha256\ndefault_crl_days=30\n`);
      const authority = ['ca', '-config', settings, '-keyfile', caKey, '-cert', ca];
      for (const { cert } of revoked) openssl(...authority, '-revoke', cert);
      openssl(...authority, '-gencrl', '-out', list);
      return list;
    },
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
