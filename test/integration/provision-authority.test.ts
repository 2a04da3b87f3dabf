import { execFileSync } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import tls from 'node:tls';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { missing } from '../support/broker.ts';
import { altered, undated } from '../support/certificates.ts';
import { type Operator, openOperator } from '../support/operator.ts';
import { everything, openSensor, provisionedBy } from '../support/provision.ts';

const without = missing('openssl');
describe.skipIf(without)(`provision: certificate authorities${without ? ` (left out: ${without})` : ''}`, () => {
  let operator: Operator;
  let district: Operator;
  beforeAll(() => {
    operator = openOperator('City Authority');
    district = openOperator('District', undefined, { ca: operator.ca, key: operator.key });
  });
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });

  /**
   * Returns `trusted` or the error code of a client that trusts only `ca`, for a broker with a certificate and chain
   * of the district authority.
   */
  async function trustOf(ca: string): Promise<string> {
    const broker = district.issue('broker.example.org', { usage: 'serverAuth', extensions: ['subjectAltName=DNS:broker.example.org'] });
    const server = tls.createServer({ key: readFileSync(broker.key), cert: readFileSync(broker.cert, 'utf8') + readFileSync(district.ca, 'utf8') });
    onTestFinished(() => void server.close());
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    return new Promise((resolve) => {
      const client = tls.connect({ port, host: '127.0.0.1', servername: 'broker.example.org', ca: readFileSync(ca) }, () => resolve('trusted'));
      client.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
      onTestFinished(() => void client.destroy());
    });
  }

  test('an intermediate authority without its root is refused, and the installed files stay', async () => {
    const sensor = await provisionedBy(operator);
    const cert = district.sign((await sensor.provision('--renew')).stdout);
    const before = everything(sensor);
    const { status, stderr } = await sensor.install(cert, district.ca);
    expect(status).toBe(10);
    expect(stderr).toMatch(/Expected a self-signed root authority in .*, got CN=District of CN=City Authority\nTry: put the root above it/);
    expect(everything(sensor)).toEqual(before);
    expect(await trustOf(district.ca)).toBe('UNABLE_TO_GET_ISSUER_CERT');
    const both = sensor.at('../both.pem');
    writeFileSync(both, district.text(district.ca) + operator.text(operator.ca));
    expect(await sensor.install(cert, both)).toMatchObject({ status: 0 });
    expect(await trustOf(sensor.at('ca.pem'))).toBe('trusted');
  });

  test.each([
    ['begins', 'from Bad time value to '],
    ['ends', 'to Bad time value'],
  ] as const)('a certificate that %s at no date is refused as that', async (which, said) => {
    const sensor = openSensor(operator);
    const cert = operator.sign((await sensor.provision()).stdout);
    writeFileSync(cert, undated(readFileSync(cert, 'utf8'), which));
    const { status, stderr } = await sensor.install(cert);
    expect(stderr).toMatch(/^Error: Expected a certificate valid at .*, got one valid from .* to .*\nTry: openssl x509 -in FILE -noout -dates/);
    expect(stderr).toContain(said);
    expect(status).toBe(10);
  });

  test.each(['/etc/ssl/tocsin-test-nowhere/ca-certificates.crt', '/usr/share/tocsin-test-nowhere/ca.crt'])(
    'the authorities of the whole machine are not replaced by that of the operator: %s',
    async (place) => {
      // a folder that does not exist: nothing is overwritten should this fail
      const sensor = openSensor(operator, { caFile: `${'../'.repeat(20)}${place.slice(1)}` });
      const cert = operator.sign((await sensor.provision()).stdout);
      const before = everything(sensor);
      const { status, stderr } = await sensor.install(cert);
      expect(stderr).toBe(
        `Error: Expected mqtt.caFile to name a file of this sensor alone, got ${place}, which is the system's\n` +
          'Try: name another one in the configuration, for instance mqtt.caFile: ca.pem; --ca then puts the authority there\n',
      );
      expect(status).toBe(10);
      expect(everything(sensor)).toEqual(before);
    },
  );

  test('a folder whose name begins like that of the system is the operator’s own', async () => {
    const sensor = openSensor(operator, { caFile: `${'../'.repeat(20)}etc/ssl-tocsin-test-nowhere/ca.pem` });
    const { stderr } = await sensor.install(operator.sign((await sensor.provision()).stdout));
    expect(stderr).toMatch(/^Error: .*ssl-tocsin-test-nowhere/);
    expect(stderr).not.toContain("which is the system's");
  });

  test('an authority whose key is damaged is refused as a certificate that cannot be read', async () => {
    const sensor = openSensor(operator);
    const cert = operator.sign((await sensor.provision()).stdout);
    const damaged = sensor.at('../damaged.pem');
    const point = Buffer.from([0x03, 0x42, 0x00, 0x04]); // of P-256, whole
    writeFileSync(
      damaged,
      altered(operator.text(operator.ca), (der) => der.fill(9, der.indexOf(point) + 3, der.indexOf(point) + 4)),
    );
    const { status, stderr } = await sensor.install(cert, damaged);
    expect(status).toBe(10);
    expect(stderr).toMatch(/^Error: Expected a certificate \(PEM\) in .*damaged.pem, got: .*\nTry: openssl x509/);
  });

  test('an authority whose file breaks off, or only begins certificates, is refused as one that cannot be read', async () => {
    const sensor = openSensor(operator);
    const cert = operator.sign((await sensor.provision()).stdout);
    const broken = sensor.at('../broken.pem');
    const begin = '-----BEGIN CERTIFICATE-----\n';
    for (const text of [operator.text(operator.ca) + district.text(district.ca).slice(0, 200), begin.repeat(20_000)]) {
      writeFileSync(broken, text);
      const { status, stderr } = await sensor.install(cert, broken);
      expect(status).toBe(10);
      expect(stderr).toMatch(/^Error: Expected a certificate \(PEM\) in .*broken.pem, got: error:.*bad end line\nTry: openssl x509/);
    }
  });

  test('a file far too large for certificates, such as the image of a card, is refused before it is read', async () => {
    const sensor = openSensor(operator);
    await sensor.provision();
    const image = sensor.at('../card.img');
    writeFileSync(image, '');
    truncateSync(image, 600_000_000); // Node makes no text of so much
    const { status, stderr } = await sensor.install(image);
    expect(status).toBe(10);
    expect(stderr).toMatch(/^Error: Expected a file at .*card.img, got: a file of more than 1000000 bytes\nTry: check the path/);
  });

  test('two authorities joined without a newline between them are both trusted', async () => {
    const sensor = openSensor(operator);
    const cert = district.sign((await sensor.provision()).stdout);
    const joined = sensor.at('../joined.pem');
    writeFileSync(joined, district.text(district.ca).trimEnd() + operator.text(operator.ca));
    expect(await sensor.install(cert, joined)).toMatchObject({ status: 0 });
    expect(await trustOf(joined)).not.toBe('trusted');
    expect(await trustOf(sensor.at('ca.pem'))).toBe('trusted');
  });

  test.each(['\t', 'CA: '])('an authority behind %j on its line, as it was pasted, is trusted', async (before) => {
    const sensor = openSensor(operator);
    const cert = operator.sign((await sensor.provision()).stdout);
    const pasted = sensor.at('../pasted.pem');
    writeFileSync(pasted, before + operator.text(operator.ca));
    expect(await sensor.install(cert, pasted)).toMatchObject({ status: 0 });
    expect(await trustOf(pasted)).not.toBe('trusted');
    expect(await trustOf(sensor.at('ca.pem'))).toBe('trusted');
  });

  test('the certificate chain may precede the certificate, as openssl prints it from a PKCS#7 file', async () => {
    const sensor = openSensor(operator);
    const cert = district.sign((await sensor.provision()).stdout);
    const [p7b, pem] = [sensor.at('../answer.p7b'), sensor.at('../answer.pem')];
    openssl('crl2pkcs7', '-nocrl', '-certfile', operator.ca, '-certfile', district.ca, '-certfile', cert, '-out', p7b);
    const refused = await sensor.install(p7b);
    expect(refused).toMatchObject({ status: 10, stderr: expect.stringContaining('Try: from DER: openssl x509') });
    openssl(...'pkcs7 -print_certs -in'.split(' '), p7b, '-out', pem);
    const { status, stderr } = await sensor.install(pem);
    expect(status, stderr).toBe(0);
    expect(openssl('x509', '-in', sensor.at('sensor.pem'), '-noout', '-subject').toString()).toMatch(/CN ?= ?lamp-post-12/);
    openssl('verify', '-CAfile', sensor.at('ca.pem'), '-untrusted', sensor.at('sensor.pem'), sensor.at('sensor.pem'));
  });

  const itself = { subject: '/CN=City Authority', extensions: ['basicConstraints=critical,CA:true'] };
  test.each([
    ['that has expired', /valid at .*, got CN=City Authority, from .* to .* 2021/, { ...itself, from: '20200101000000Z', to: '20210101000000Z' }],
    ['that is not valid yet', /valid at .*, got CN=City Authority, from .* 2090/, { ...itself, from: '20900101000000Z', to: '20910101000000Z' }],
    ['that may not sign', /got CN=City Authority, which is none/, { ...itself, extensions: ['basicConstraints=critical,CA:false'] }],
  ])('an authority %s is refused with its reason, and nothing changes', async (_, said, wishes) => {
    const sensor = openSensor(operator);
    const cert = operator.sign((await sensor.provision()).stdout);
    const before = everything(sensor);
    const { status, stderr } = await sensor.install(
      cert,
      operator.sign(openssl('req', '-new', '-key', operator.key, '-subj', wishes.subject).toString(), wishes),
    );
    expect(stderr).toMatch(said);
    expect(status).toBe(10);
    expect(everything(sensor)).toEqual(before);
  });

  const rootOf = (from: string, to: string) =>
    operator.sign(openssl('req', '-new', '-key', operator.key, '-subj', itself.subject).toString(), { ...itself, from, to });
  test('an expired root is refused even if the intermediate is valid; with the renewed root in the file it is accepted', async () => {
    const sensor = await provisionedBy(operator);
    const cert = district.sign((await sensor.provision('--renew')).stdout);
    const before = everything(sensor);
    const ended = sensor.at('../ended.pem');
    writeFileSync(ended, district.text(district.ca) + operator.text(rootOf('20200101000000Z', '20210101000000Z')));
    for (const more of ['', operator.text(openOperator('Other Authority').ca)]) {
      writeFileSync(ended, operator.text(ended) + more);
      const { status, stderr } = await sensor.install(cert, ended);
      expect(stderr).toMatch(/valid at .*, got CN=City Authority, from .* to .* 2021/);
      expect(status).toBe(10);
      expect(everything(sensor)).toEqual(before);
      expect(await trustOf(ended)).toBe('CERT_HAS_EXPIRED');
    }
    const renewed = sensor.at('../renewed.pem');
    writeFileSync(renewed, operator.text(ended) + operator.text(operator.ca));
    expect(await sensor.install(cert, renewed)).toMatchObject({ status: 0 });
    expect(await trustOf(sensor.at('ca.pem'))).toBe('trusted');
  });

  test('an expired root that is not above the intermediate is refused; the same root, valid, is accepted', async () => {
    const sensor = openSensor(operator);
    const cert = district.sign((await sensor.provision()).stdout);
    const other = openOperator('Other Authority');
    const request = openssl('req', '-new', '-key', other.key, '-subj', '/CN=Other Authority').toString();
    const ended = other.sign(request, { ...itself, subject: '/CN=Other Authority', from: '20200101000000Z', to: '20210101000000Z' });
    const both = sensor.at('../both.pem');
    const withRoot = (root: string) => writeFileSync(both, district.text(district.ca) + operator.text(root));
    withRoot(ended);
    expect(await sensor.install(cert, both)).toMatchObject({ status: 10, stderr: expect.stringMatching(/got CN=Other Authority, from .* 2021/) });
    withRoot(other.ca);
    expect(await sensor.install(cert, both)).toMatchObject({ status: 0 });
  });

  test.each([
    [{ certFile: 'sensor.key' }, 'sensor.key'],
    [{ caFile: 'sensor.pem' }, 'sensor.pem'],
  ])('one file name for two of key, certificate and authority (%o) is refused before a key is made', async (names, twice) => {
    const sensor = openSensor(operator, names);
    const { status, stderr } = await sensor.provision();
    expect(stderr).toContain(`got ${sensor.at(twice)} twice`);
    expect([status, sensor.names()]).toEqual([10, []]);
  });
});
