import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** A certificate (PEM) with other bytes in it. */
export function altered(pem: string, change: (der: Buffer) => void): string {
  const der = Buffer.from(pem.replace(/-----.*-----/g, ''), 'base64');
  change(der);
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
}

/** A certificate that begins or ends in a month 13. */
export function undated(pem: string, which: 'begins' | 'ends' = 'ends'): string {
  const dates = Buffer.from([0x17, 13]); // UTCTime (X.690, 11.8), of 13 characters
  return altered(pem, (der) => der.write('2613', der.indexOf(dates, which === 'ends' ? der.indexOf(dates) + 1 : 0) + 2));
}

const dayMs = 86_400_000;
const hour = 1 / 24;
const p256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];

/**
 * A certificate authority for one test, made with openssl in a folder. Its certificates are valid from one hour ago,
 * so that a clock that is set back meanwhile, as in a virtual machine, is not before their start.
 */
export function openAuthority(folder: string, name: string) {
  const path = (file: string) => join(folder, file);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ca = path(`${name}.pem`);
  const caKey = path(`${name}.key`);

  /** Signs a request; `from` and `to` are in days from now. */
  function sign(id: string, request: string, cert: string, extensions: string, from: number, to: number, by: string[]): void {
    const [settings, database] = [path(`${id}.cnf`), path(`${id}.index`)];
    writeFileSync(database, '');
    const lines = [`database=${database}`, `new_certs_dir=${folder}`, `serial=${database}.serial`, 'default_md=sha256', 'policy=p', 'x509_extensions=e'];
    writeFileSync(settings, ['[ca]', 'default_ca=x', '[x]', ...lines, '[p]', 'commonName=supplied', '[e]', extensions, ''].join('\n'));
    const date = (ahead: number) => `${new Date(Date.now() + ahead * dayMs).toISOString().slice(0, 19).replace(/[-T:]/g, '')}Z`;
    const dates = ['-startdate', date(from), '-enddate', date(to)];
    openssl('ca', '-batch', '-notext', '-config', settings, '-keyfile', caKey, '-rand_serial', ...dates, '-in', request, '-out', cert, ...by);
  }

  function certify(id: string, subject: string, alternative: string, from: number, to: number, newKey = p256): Identity {
    const [key, request, cert] = [path(`${id}.key`), path(`${id}.csr`), path(`${id}.pem`)];
    openssl('req', ...newKey, '-nodes', '-keyout', key, '-out', request, '-subj', `/CN=${subject}`);
    sign(id, request, cert, `subjectAltName=${alternative}`, from, to, ['-cert', ca]);
    return { cert, key };
  }

  const own = path(`${name}.csr`);
  openssl('req', ...p256, '-nodes', '-keyout', caKey, '-out', own, '-subj', `/CN=${name}`);
  sign(name, own, ca, 'basicConstraints=critical,CA:true', -2, 3650, ['-selfsign']);
  return {
    ca,
    key: caKey,
    /** Returns the authority's own certificate as it was before a renewal: expired yesterday. */
    ended(): string {
      const before = path(`${name}-ended.pem`);
      sign(`${name}-ended`, own, before, 'basicConstraints=critical,CA:true', -30, -1, ['-selfsign']);
      return before;
    },
    /** Issues a certificate that is valid only from tomorrow. */
    issueEarly: (subject: string): Identity => certify(`${subject}-early`, subject, `DNS:${subject}`, 1, 400),
    /** Returns a revocation list with these certificates. */
    revocations(...revoked: Identity[]): string {
      const [settings, database, list] = [path(`${name}-revoked.cnf`), path(`${name}-revoked.index`), path(`${name}.crl`)];
      writeFileSync(database, '');
      writeFileSync(settings, `[ca]\ndefault_ca=d\n[d]\ndatabase=${database}\ndefault_md=sha256\ndefault_crl_days=30\n`);
      const authority = ['ca', '-config', settings, '-keyfile', caKey, '-cert', ca];
      for (const { cert } of revoked) openssl(...authority, '-revoke', cert);
      openssl(...authority, '-gencrl', '-out', list);
      return list;
    },
    /** Issues a certificate for a name, valid until `days` from now: with -1 it expired yesterday. */
    issue: (subject: string, days: number, alternative = `DNS:${subject}`, newKey?: string[]): Identity =>
      certify(`${subject}-${days}`, subject, alternative, days < 0 ? days - hour : -hour, days, newKey),
  };
}
