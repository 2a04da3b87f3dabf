import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Wishes {
  readonly days?: number;
  /** In openssl's notation; default `clientAuth`. */
  readonly usage?: string;
  readonly extensions?: readonly string[];
  /** A subject in place of that of the request. */
  readonly subject?: string;
  /** Dates for openssl's `ca`, instead of `days`. */
  readonly from?: string;
  readonly to?: string;
}

/** The certificate authority of an operator: signs requests and revokes certificates. All its files are in `folder`. */
export function openOperator(name: string, folder = mkdtempSync(join(tmpdir(), 'tocsin-operator-')), parent?: { ca: string; key: string }) {
  const path = (file: string) => join(folder, `${name.replaceAll(' ', '-')}.${file}`);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const [ca, key, crl, settings] = [path('pem'), path('key'), path('crl'), path('cnf')];
  const isAuthority = ['-addext', 'basicConstraints=critical,CA:true', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
  const by = parent ? ['-CA', parent.ca, '-CAkey', parent.key] : [];
  openssl('req', '-x509', ...newKey, '-keyout', key, '-out', ca, '-subj', `/CN=${name}`, '-days', '30', ...isAuthority, ...by);
  for (const [file, text] of [
    ['index', ''],
    ['serial', '1000\n'],
    ['crlnumber', '01\n'],
  ] as const)
    writeFileSync(path(file), text);
  writeFileSync(
    settings,
    `[ca]\ndefault_ca=here\n[here]\nnew_certs_dir=${folder}\ndatabase=${path('index')}\nserial=${path('serial')}\ncrlnumber=${path('crlnumber')}\ncertificate=${ca}\nprivate_key=${key}\ndefault_md=sha256\ndefault_days=30\ndefault_crl_days=30\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n`,
  );
  const authority = {
    ca,
    key,
    crl,
    folder,
    /** Signs a request (PEM text); returns the path of the certificate. */
    sign(request: string, { days = 30, usage = 'clientAuth', extensions = [], subject, from, to }: Wishes = {}): string {
      const id = `${Math.random()}`.slice(2);
      const [csr, cert, extra] = [path(`${id}.csr`), path(`${id}.pem`), path(`${id}.ext`)];
      writeFileSync(csr, request);
      writeFileSync(extra, [`extendedKeyUsage=${usage}`, ...extensions, ''].join('\n'));
      const dates = from && to ? ['-startdate', from, '-enddate', to] : ['-days', String(days)];
      openssl('ca', '-batch', '-notext', '-config', settings, '-in', csr, '-out', cert, '-extfile', extra, ...dates, ...(subject ? ['-subj', subject] : []));
      return cert;
    },
    /** A key and its certificate, for a broker or a platform. */
    issue(subject: string, wishes: Wishes = {}): { cert: string; key: string } {
      const file = path(`${subject}.key`);
      const request = openssl('req', '-new', ...newKey, '-keyout', file, '-subj', `/CN=${subject}`);
      return { cert: authority.sign(request, wishes), key: file };
    },
    revoke: (cert: string) => void openssl('ca', '-config', settings, '-revoke', cert),
    /** Writes the revocation list, empty at first. */
    list: () => void openssl('ca', '-config', settings, '-gencrl', '-out', crl),
    text: (file: string) => readFileSync(file, 'utf8'),
  };
  return authority;
}
export type Operator = ReturnType<typeof openOperator>;

/**
 * Copies the files that broker.example.org and the platform need into a folder: certificates, keys and the revocation
 * list.
 */
export function supply(operator: Operator, folder: string): void {
  const broker = operator.issue('broker.example.org', { usage: 'serverAuth', extensions: ['subjectAltName=DNS:broker.example.org'] });
  const platform = operator.issue('platform.tocsin');
  operator.list();
  const files: [string, string][] = [
    [operator.ca, 'ca.pem'],
    [operator.crl, 'revoked.crl'],
    [broker.cert, 'broker.pem'],
    [broker.key, 'broker.key'],
    [platform.cert, 'platform.pem'],
    [platform.key, 'platform.key'],
  ];
  for (const [from, to] of files) copyFileSync(from, join(folder, to));
}
