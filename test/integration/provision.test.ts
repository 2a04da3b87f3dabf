import { execFileSync, spawnSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { missing } from '../support/broker.ts';
import { type Operator, openOperator } from '../support/operator.ts';
import { everything, openSensor, provisionedBy, type Sensor } from '../support/provision.ts';

const without = missing('openssl');
describe.skipIf(without)(`provision${without ? ` (left out: ${without})` : ''}`, () => {
  let operator: Operator;
  beforeAll(() => {
    operator = openOperator('City Authority');
  });

  const provisioned = () => provisionedBy(operator);

  test('prints a request for the sensor on stdout, signed with a P-256 key that only its owner can read', async () => {
    const sensor = openSensor(operator);
    const { status, stdout, stderr } = await sensor.provision();
    expect(status, stderr).toBe(0);
    const shown = execFileSync('openssl', ['req', '-verify', '-noout', '-text'], { input: stdout, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
    expect(shown).toMatch(/Subject: CN ?= ?lamp-post-12/);
    expect(shown).toContain('P-256');
    expect(shown).toContain('TLS Web Client Authentication');
    expect(sensor.names()).toEqual(['sensor.csr', 'sensor.key.new']);
    expect(statSync(sensor.at('sensor.key.new')).mode & 0o777).toBe(0o600);
    expect(stderr).toMatch(/the private key\s+stays on this sensor/);
  });

  test('writes the private key to no output and to no file but its own', async () => {
    const sensor = openSensor(operator);
    const runs = [
      await sensor.provision(),
      await sensor.provision('--json'),
      await sensor.install(operator.sign((await sensor.provision()).stdout)),
      await sensor.provision('--renew', '--json'),
    ];
    const secret = createPrivateKey(readFileSync(sensor.at('sensor.key'))).export({ format: 'jwk' }).d as string;
    const forms = [secret, Buffer.from(secret, 'base64url').toString('hex'), Buffer.from(secret, 'base64url').toString('base64').slice(0, 40), 'PRIVATE KEY'];
    for (const { stdout, stderr } of runs) for (const form of forms) expect(stdout + stderr).not.toContain(form);
    for (const [name, text] of Object.entries(everything(sensor))) if (!name.startsWith('sensor.key')) expect(text, name).not.toContain('PRIVATE KEY');
  });

  const ofAnotherName = (sensor: Sensor) =>
    execFileSync('openssl', ['req', '-new', '-key', sensor.at('sensor.key.new'), '-subj', '/CN=other'], { encoding: 'utf8', stdio: 'pipe' });
  test('prints the same request again, and makes another key only with --discard', async () => {
    const sensor = openSensor(operator);
    type Made = { request: string; publicKeySha256: string; again: boolean };
    const read = async (...args: string[]) => JSON.parse((await sensor.provision('--json', ...args)).stdout) as Made;
    const first = await read();
    expect(await read(), 'to the byte').toEqual({ ...first, again: true });
    const stale = everything(sensor)['sensor.csr'] as string;
    const other = await read('--discard');
    expect(other.again).toBe(false);
    expect(other.publicKeySha256).not.toBe(first.publicKeySha256);
    const subject = (request: string) => execFileSync('openssl', ['req', '-verify', '-noout', '-subject'], { input: request, stdio: 'pipe' }).toString();
    for (const wrong of [stale, stale.slice(0, 200), '', ofAnotherName(sensor)]) {
      writeFileSync(sensor.at('sensor.csr'), wrong); // what a power cut may leave
      const again = await read();
      expect(again.publicKeySha256).toBe(other.publicKeySha256);
      expect([again.request === wrong, subject(again.request)]).toEqual([false, subject(first.request)]);
    }
  });

  test('installs key, certificate and authority, and leaves no other files', async () => {
    const sensor = openSensor(operator);
    const cert = operator.sign((await sensor.provision()).stdout);
    const { status, stdout, stderr } = await sensor.provision('--install', cert, '--ca', operator.ca, '--json');
    expect(status, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ sensor: 'lamp-post-12', issuer: 'CN=City Authority', key: sensor.at('sensor.key') });
    expect(sensor.names()).toEqual(['ca.pem', 'sensor.key', 'sensor.pem']);
    for (const name of sensor.names()) expect(statSync(sensor.at(name)).mode & 0o777, name).toBe(0o600);
    const certificate = new X509Certificate(readFileSync(sensor.at('sensor.pem')));
    expect(certificate.checkPrivateKey(createPrivateKey(readFileSync(sensor.at('sensor.key'))))).toBe(true);
  });

  test('accepts a certificate of the authority of deploy/mosquitto, whose broker and platform certificates are valid', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'tocsin-authority-'));
    const commands = readFileSync('deploy/mosquitto/README.md', 'utf8')
      .slice(readFileSync('deploy/mosquitto/README.md', 'utf8').indexOf('## An authority'))
      .match(/```\n([\s\S]+?)```/)?.[1]
      ?.replace("new='", "new='-nodes ")
      .replaceAll('openssl ca ', 'openssl ca -batch ') as string;
    const sensor = openSensor(operator);
    writeFileSync(join(cwd, 'sensor.csr'), (await sensor.provision()).stdout);
    execFileSync('cp', ['deploy/mosquitto/authority.cnf', cwd]);
    const sh = (script: string) => execFileSync('sh', ['-euc', script], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    sh(`${commands}\nopenssl ca -batch -notext -in sensor.csr -out sensor.pem`);
    const installed = await sensor.install(join(cwd, 'sensor.pem'), join(cwd, 'ca.pem'));
    expect(installed.status, installed.stderr).toBe(0);
    const checked = 'openssl verify -CAfile ca.pem -CRLfile revoked.crl -crl_check -purpose';
    expect(sh(`${checked} sslserver -verify_hostname broker.example.org broker.pem; ${checked} sslclient platform.pem`)).toBe(
      'broker.pem: OK\nplatform.pem: OK\n',
    );
    sh('export OPENSSL_CONF=openssl.cnf; openssl ca -revoke sensor.pem; openssl ca -gencrl -out revoked.crl');
    expect(() => sh(`${checked} sslclient sensor.pem`)).toThrow('certificate revoked');
  });

  test('does not rewrite an installed certificate, and keeps a request that waits beside it', async () => {
    const sensor = openSensor(operator);
    const cert = operator.sign((await sensor.provision()).stdout);
    const install = async () => JSON.parse((await sensor.provision('--install', cert, '--ca', operator.ca, '--json')).stdout) as { again: boolean };
    expect((await install()).again).toBe(false);
    await sensor.provision('--renew');
    const [before, inode] = [everything(sensor), statSync(sensor.at('sensor.pem')).ino];
    expect((await install()).again).toBe(true);
    expect(everything(sensor)).toEqual(before);
    expect(statSync(sensor.at('sensor.pem')).ino).toBe(inode);
    writeFileSync(sensor.at('ca.pem'), `${before['ca.pem']}${before['ca.pem']}`);
    expect((await install()).again).toBe(false);
    expect(everything(sensor)).toEqual(before);
  });

  test('makes another key only with --renew, and keeps the old pair until the new one is complete', async () => {
    const sensor = await provisioned();
    const before = everything(sensor);
    const refused = await sensor.provision();
    expect(refused.status).toBe(10);
    expect(refused.stderr).toContain('Try: sudo tocsin provision --renew');
    expect(everything(sensor)).toEqual(before);
    const renewed = await sensor.provision('--renew');
    expect(renewed.status, renewed.stderr).toBe(0);
    expect(everything(sensor)).toMatchObject(before);
    expect((await sensor.install(operator.sign(renewed.stdout))).status).toBe(0);
    expect(sensor.names()).toEqual(['ca.pem', 'sensor.key', 'sensor.pem']);
    expect(everything(sensor)['sensor.key']).not.toBe(before['sensor.key']);
  });

  test('installs a renewed certificate for the installed key', async () => {
    const sensor = openSensor(operator);
    const request = (await sensor.provision()).stdout;
    expect((await sensor.install(operator.sign(request))).status).toBe(0);
    const { 'sensor.key': key } = everything(sensor);
    expect((await sensor.provision('--install', operator.sign(request, { days: 60 }))).status).toBe(0); // the authority stays
    expect(everything(sensor)['sensor.key']).toBe(key);
  });

  test('gives a hint for a certificate of another key that leads to a request that can be signed', async () => {
    const foreign = operator.sign((await openSensor(operator).provision()).stdout);
    const fresh = openSensor(operator);
    await fresh.provision();
    for (const sensor of [fresh, await provisioned()]) {
      const [, options = ''] = /Try: sudo tocsin provision( --renew)? prints/.exec((await sensor.install(foreign)).stderr) ?? [];
      const { status, stdout } = await sensor.provision(...options.split(' ').filter(Boolean));
      expect(status).toBe(0);
      expect((await sensor.install(operator.sign(stdout))).status).toBe(0);
    }
  });

  test.each([0, 1])('installs the latest valid one of several certificates in a file, whatever their order (%i)', async (first) => {
    const sensor = openSensor(operator);
    const request = (await sensor.provision()).stdout;
    const [late, ...others] = [
      operator.sign(request, { days: 60 }),
      operator.sign(request),
      operator.sign(request, { from: '20900101000000Z', to: '20910101000000Z' }),
    ];
    const file = sensor.at('../answer.pem');
    const order = first === 0 ? [late, ...others] : [...others, late];
    writeFileSync(file, order.map((path) => readFileSync(path as string, 'utf8')).join(''));
    const { status, stderr } = await sensor.install(file);
    expect(status, stderr).toBe(0);
    expect(everything(sensor)['sensor.pem']).toBe(readFileSync(late as string, 'utf8'));
  });

  const refusals: [string, RegExp, (sensor: Sensor, request: string) => { cert: string; ca?: string } | Promise<{ cert: string; ca?: string }>][] = [
    ['for another key', /got one for/, async () => ({ cert: operator.sign((await openSensor(operator).provision()).stdout) })],
    ['for another name', /CN=other/, (_, request) => ({ cert: operator.sign(request, { subject: '/CN=other' }) })],
    ['that has expired', /that expired on/, (_, request) => ({ cert: operator.sign(request, { from: '20200101000000Z', to: '20210101000000Z' }) })],
    ['that is not valid yet', /clock right/, (_, request) => ({ cert: operator.sign(request, { from: '20900101000000Z', to: '20910101000000Z' }) })],
    ['for servers', /client authentication/, (_, request) => ({ cert: operator.sign(request, { usage: 'serverAuth' }) })],
    [
      'of another authority',
      /signed by CN=Strangers, got one of CN=City Authority/,
      (_, request) => ({ cert: operator.sign(request), ca: openOperator('Strangers').ca }),
    ],
    // the same name is not the same authority
    [
      'of another authority of the same name',
      /signed by CN=City Authority, got one of CN=City Authority/,
      (_, request) => ({ cert: openOperator('City Authority').sign(request) }),
    ],
    ['that is a certificate request', /got a certificate request\nTry: send the request to the authority/, (sensor) => ({ cert: sensor.at('sensor.csr') })],
    ['that is a private key', /private key/, (sensor) => ({ cert: sensor.at('sensor.key.new') })],
    ['that does not exist', /ENOENT/, (sensor) => ({ cert: sensor.at('nothing.pem') })],
  ];
  test.each(refusals)('refuses a certificate %s, and changes nothing', async (_, said, plant) => {
    const sensor = openSensor(operator);
    const { cert, ca } = await plant(sensor, (await sensor.provision()).stdout);
    const before = everything(sensor);
    const { status, stderr } = await sensor.install(cert, ca);
    expect(stderr).toMatch(said);
    expect(stderr).toContain('Try: ');
    expect(status).toBe(10);
    expect(everything(sensor)).toEqual(before);
  });

  test('accepts an intermediate authority if it is in the file, and refuses the certificate if it is missing', async () => {
    const district = openOperator('District', undefined, { ca: operator.ca, key: operator.key });
    const sensor = openSensor(operator);
    const cert = district.sign((await sensor.provision()).stdout);
    expect((await sensor.install(cert)).status).toBe(10);
    const both = join(sensor.credentials, 'chain.pem');
    writeFileSync(both, readFileSync(cert, 'utf8') + readFileSync(district.ca, 'utf8'));
    const { status, stderr } = await sensor.install(both);
    expect(status, stderr).toBe(0);
    expect(everything(sensor)['sensor.pem']?.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
  });

  /** A sensor with an installed pair, and a waiting pair of the next authority. */
  const moving = async () => {
    const sensor = await provisioned();
    const next = openOperator('Next Authority');
    return { sensor, next, cert: next.sign((await sensor.provision('--renew')).stdout) };
  };

  test.each(['sensor.pem.new', 'ca.pem.new'])('changes nothing installed if %s cannot be written', async (name) => {
    const { sensor, next, cert } = await moving();
    const before = everything(sensor);
    mkdirSync(sensor.at(name)); // blocks the file
    const { status, stderr } = await sensor.install(cert, next.ca);
    expect(status).toBe(10);
    expect(stderr).toContain('Expected to write the credentials');
    rmSync(sensor.at(name), { recursive: true });
    expect(everything(sensor)).toEqual(before);
  });

  test.each([1, 2])('completes the installation after a power cut between the renames (after %i of 3) when called again', async (renames) => {
    const { sensor, next, cert } = await moving();
    writeFileSync(sensor.at('sensor.pem.new'), readFileSync(cert));
    writeFileSync(sensor.at('ca.pem.new'), readFileSync(next.ca));
    // as far as the installation came
    for (const name of ['sensor.key', 'sensor.pem'].slice(0, renames)) renameSync(sensor.at(`${name}.new`), sensor.at(name));
    const { status, stderr } = await sensor.install(cert, next.ca);
    expect(status, stderr).toBe(0);
    const certificate = new X509Certificate(readFileSync(sensor.at('sensor.pem')));
    expect(certificate.publicKey.equals(createPublicKey(readFileSync(sensor.at('sensor.key'))))).toBe(true);
    expect(certificate.checkIssued(new X509Certificate(readFileSync(sensor.at('ca.pem'))))).toBe(true);
    expect(sensor.names()).toEqual(['ca.pem', 'sensor.key', 'sensor.pem']);
  });

  test('after a power cut between the renames of key and certificate, prints the request of the installed key again', async () => {
    const sensor = openSensor(operator);
    const request = (await sensor.provision()).stdout;
    renameSync(sensor.at('sensor.key.new'), sensor.at('sensor.key')); // the first of the three renames
    const again = await sensor.provision();
    expect(again, again.stderr).toMatchObject({ status: 0, stdout: request });
    expect((await sensor.install(operator.sign(request))).status).toBe(0);
    expect(sensor.names()).toEqual(['ca.pem', 'sensor.key', 'sensor.pem']);
  });

  test('installs the waiting key if certificate and authority are already installed', async () => {
    const sensor = await provisioned();
    const whole = everything(sensor);
    renameSync(sensor.at('sensor.key'), sensor.at('sensor.key.new')); // as if the disk had kept only the later renames
    const cert = join(mkdtempSync(join(tmpdir(), 'tocsin-answer-')), 'sensor.pem');
    writeFileSync(cert, readFileSync(sensor.at('sensor.pem')));
    expect((await sensor.install(cert)).status).toBe(0);
    expect(everything(sensor)).toEqual(whole);
  });

  test('says in English and French how the certificate takes effect', async () => {
    const sensor = openSensor(operator);
    const cert = operator.sign((await sensor.provision()).stdout);
    const install = async (language: string) =>
      (await sensor.provision('--install', cert, '--ca', operator.ca, '--lang', language)).stdout.replace(/\s+/g, ' ');
    for (const [language, said] of [
      ['en', 'systemd hands the courier key and certificate when it starts'],
      ['fr', 'systemd remet clé et certificat au courrier à son démarrage'],
    ] as const)
      expect(await install(language)).toMatch(
        new RegExp(`${said} ?: sudo systemctl restart tocsin-courier ?;.* sudo systemctl start tocsin.target. .*: sudo tocsin doctor`),
      );
    const { stderr } = await sensor.provision('--lang', 'fr');
    expect(stderr).toMatch(/^Erreur\u00a0: Attendu un capteur sans clé, obtenu une clé à /);
    expect(stderr).toContain('Essayez\u00a0: sudo tocsin provision --renew');
  });

  test.skipIf(process.getuid?.() !== 0)('without write access gives a hint to use sudo, and creates no file (needs root)', async () => {
    const sensor = openSensor(operator);
    chmodSync(sensor.credentials, 0o755);
    chmodSync(join(sensor.credentials, '..'), 0o755);
    const { status, stderr } = spawnSync(process.execPath, [resolve('agent/main.ts'), 'provision', '-c', join(sensor.credentials, '../tocsin.yaml')], {
      uid: 65_534,
      gid: 65_534,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, LC_ALL: 'C' },
    });
    expect(stderr).toContain('run it again with sudo');
    expect(status).toBe(10);
    expect(sensor.names()).toEqual([]);
  });
});
