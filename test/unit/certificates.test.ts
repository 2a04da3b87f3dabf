import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { certificateEnd } from '../../agent/config/secrets.ts';
import { missing } from '../support/broker.ts';
import { openOperator } from '../support/operator.ts';

const without = missing('openssl');

describe.skipIf(without)(`the end of a sensor's certificate${without ? ` (left out: needs ${without})` : ''}`, () => {
  test('is that of an authority sent with it which ends sooner; of one name the one that ends last counts, and no other in the file does', () => {
    const root = openOperator('root');
    const between = openOperator('between', root.folder, root); // for 30 days
    const own = between.issue('post-1', { days: 400 }).cert;
    const again = (name: string, key: string, days: number, ...by: string[]) => {
      const path = `${root.folder}/${name}-${days}.pem`;
      const isAuthority = ['-addext', 'basicConstraints=critical,CA:true'];
      execFileSync('openssl', ['req', '-x509', '-new', '-key', key, '-subj', `/CN=${name}`, '-days', `${days}`, '-out', path, ...isAuthority, ...by], {
        stdio: 'ignore',
      });
      return path;
    };
    const renewed = again('between', between.key, 300, '-CA', root.ca, '-CAkey', root.key);
    const short = again('root', root.key, 1);
    const stranger = openOperator('stranger', root.folder, root).ca;
    const end = (...paths: string[]) => certificateEnd({ cert: Buffer.concat(paths.map((path) => readFileSync(path))) });
    const endOf = (path: string) => new Date(new X509Certificate(readFileSync(path)).validTo).toISOString();
    expect(end(own)).toBe(endOf(own));
    expect(end(own, between.ca)).toBe(endOf(between.ca));
    expect(end(own, between.ca, renewed)).toBe(endOf(renewed));
    expect(end(own, stranger)).toBe(endOf(own));
    expect(end(own, renewed, short)).toBe(endOf(renewed));
  });
});
