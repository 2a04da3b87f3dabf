import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { openSigner } from '../../agent/cli/commission/seal.ts';
import { machineProbes } from '../../agent/cli/doctor/probes.ts';
import { identityPaths } from '../../agent/cli/provision/paths.ts';
import { readKey } from '../../agent/cli/provision/request.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { secretPath } from '../../agent/config/secret-path.ts';
import { readCredentials } from '../../agent/config/secrets.ts';
import { fixedClock } from '../support/samples.ts';

const mqtt = (caFile: string) => checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtts://broker.example.org', caFile } }, 'x').mqtt;

// What systemd 257 makes of a folder (LoadCredential=credentials:FOLDER), observed in a container: plain.pem becomes
// credentials_plain.pem, sub/x.pem becomes credentials_sub_x.pem, and links and .hidden are left out. With a colon or
// an accent in a name the unit does not start.
test('a credential name that systemd would rename or not hand over is refused', () => {
  for (const name of ['sub/x.pem', './ca.pem', '../ca.pem', '.hidden', 'a:b.pem', 'autorité.pem', 'ca.pem\n'])
    expect(() => mqtt(name), name).toThrow(/mqtt.caFile: expected the name of a file in \/etc\/tocsin\/credentials \(letters and digits, no folder\)/);
  // the absolute path of such a file is refused too: the courier may not enter that folder
  for (const name of ['autorité.pem', 'sub/x.pem', '.hidden', 'sub/../a:b.pem'])
    expect(() => mqtt(`/etc/tocsin/credentials/${name}`), name).toThrow('mqtt.caFile: expected the name of a file in /etc/tocsin/credentials');
  for (const name of ['ca.pem', '/etc/tocsin/credentials/two words', '/etc/tocsin/credentials/../ca.pem', 'two words', 'a..b', '/srv/sub/.autorité:1.pem'])
    expect(mqtt(name).caFile).toBe(name);
});

test('a symbolic link among the credentials is refused, since systemd leaves it out', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-credentials-'));
  const place = join(folder, 'credentials_ca.pem');
  writeFileSync(join(folder, 'real.pem'), 'PEM');
  symlinkSync('real.pem', place);
  vi.stubEnv('CREDENTIALS_DIRECTORY', folder); // replaces /etc/tocsin/credentials, where a test cannot write
  expect(() => readCredentials(mqtt('ca.pem'))).toThrow(
    'mqtt.caFile: expected a file, got a symbolic link at /etc/tocsin/credentials/ca.pem: systemd does not hand it to the courier',
  );
  expect(readCredentials(mqtt(place)).ca?.toString()).toBe('PEM'); // an absolute path is read as it is
  rmSync(place);
  vi.unstubAllEnvs();
});

test('an error about a credential names the file in /etc/tocsin/credentials, also if its absolute path was configured', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-credentials-'));
  const [path, place] = ['/etc/tocsin/credentials/ca.pem', join(folder, 'credentials_ca.pem')];
  vi.stubEnv('CREDENTIALS_DIRECTORY', folder);
  for (const named of ['ca.pem', path]) {
    rmSync(place, { force: true });
    const refused = expect.objectContaining({
      message: `mqtt.caFile: expected a readable file, got: ENOENT: no such file or directory, open '${path}'`,
      tryHint: 'check that it is there and is a file: sudo ls -l /etc/tocsin/credentials',
    });
    expect(() => readCredentials(mqtt(named))).toThrow(refused);
    writeFileSync(place, 'PEM');
    expect(readCredentials(mqtt(named)).ca?.toString()).toBe('PEM');
  }
  for (const other of ['/etc/tocsin/credentials/sub/ca.pem', '/etc/tocsin/credentials/autorité.pem', '/srv/ca.pem']) expect(secretPath(other)).toBe(other);
  vi.unstubAllEnvs();
  expect(secretPath('ca.pem')).toBe(path);
});

test.each(['caFile', 'certFile', 'keyFile', 'passwordFile'])('a pipe or a device in the place of %s is refused, neither waited for nor read', (key) => {
  const pipe = join(mkdtempSync(join(tmpdir(), 'tocsin-credentials-')), 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const place of [pipe, '/dev/zero'])
    expect(() => readCredentials({ ...mqtt('/none'), caFile: undefined, [key]: place })).toThrow(
      `mqtt.${key}: expected a readable file, got: a pipe or a device`,
    );
});

// without the refusal a pipe would be waited for; of this device nothing is read, which is another error
test.each<[string, () => unknown]>([
  ['the key that signs a report', () => openSigner({ ...mqtt('/none'), keyFile: '/dev/null' })],
  ['the key of a request', () => readKey('/dev/null', identityPaths(mqtt('/none')))],
  ['a certificate that doctor looks at', () => machineProbes('/none', fixedClock()).readBytes('/dev/null')],
])('%s is not read from a device', (_what, read) => {
  expect(read).toThrow(/a pipe or a device$/);
});

test('each configured credential is read, and the password is trimmed of white space', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-credentials-'));
  const named = Object.fromEntries(
    ['passwordFile', 'caFile', 'certFile', 'keyFile'].map((key) => {
      writeFileSync(join(folder, key), ` of ${key}\n`);
      return [key, join(folder, key)];
    }),
  );
  const read = (mqtt: object) => readCredentials(checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtts://broker.example.org', ...mqtt } }, 'x').mqtt);
  const bytes = (key: string) => Buffer.from(` of ${key}\n`);
  const all = { username: 'lamp', password: 'of passwordFile', ca: bytes('caFile'), cert: bytes('certFile'), key: bytes('keyFile') };
  expect(read({ username: 'lamp', ...named })).toEqual(all);
  expect(read({})).toEqual({});
});

test.each([
  ['a private key', '-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n', 'a key or certificates (PEM)'],
  ['more than MQTT can carry', 'x'.repeat(65_536), '65536 bytes'],
])('%s in the place of the password is refused before anything is sent', (_what, text, got) => {
  const passwordFile = join(mkdtempSync(join(tmpdir(), 'tocsin-password-')), 'password');
  writeFileSync(passwordFile, text);
  const { mqtt } = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtts://broker.example.org', username: 'lamp', passwordFile } }, 'x');
  expect(() => readCredentials(mqtt)).toThrow(`mqtt.passwordFile: expected a password, got ${got}`);
});
