import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';
import { secretPath } from '../../agent/config/secret-path.ts';
import { readCredentials } from '../../agent/config/secrets.ts';

const mqtt = (caFile: string) => checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtts://broker.example.org', caFile } }, 'x').mqtt;

// What systemd 257 makes of a folder (LoadCredential=credentials:FOLDER), as seen in a container: plain.pem becomes credentials_plain.pem and sub/x.pem
// credentials_sub_x.pem, links and .hidden are left out, and with a colon or an accent in a name the unit does not start.
test('a name that systemd would hand over under another, or not at all, is refused', () => {
  for (const name of ['sub/x.pem', './ca.pem', '../ca.pem', '.hidden', 'a:b.pem', 'autorité.pem', 'ca.pem\n'])
    expect(() => mqtt(name), name).toThrow(/mqtt.caFile: expected the name of a file in \/etc\/tocsin\/credentials \(letters and digits, no folder\)/);
  // the whole path of such a file is no better: the courier may not look into that folder
  for (const name of ['autorité.pem', 'sub/x.pem', '.hidden', 'sub/../a:b.pem'])
    expect(() => mqtt(`/etc/tocsin/credentials/${name}`), name).toThrow('mqtt.caFile: expected the name of a file in /etc/tocsin/credentials');
  for (const name of ['ca.pem', '/etc/tocsin/credentials/two words', '/etc/tocsin/credentials/../ca.pem', 'two words', 'a..b', '/srv/sub/.autorité:1.pem'])
    expect(mqtt(name).caFile).toBe(name);
});

test('a symbolic link among the credentials is refused: systemd leaves it out', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-credentials-'));
  const place = join(folder, 'credentials_ca.pem');
  writeFileSync(join(folder, 'real.pem'), 'PEM');
  symlinkSync('real.pem', place);
  vi.stubEnv('CREDENTIALS_DIRECTORY', folder); // in the place of /etc/tocsin/credentials, where a test has nothing to write
  expect(() => readCredentials(mqtt('ca.pem'))).toThrow(
    'mqtt.caFile: expected a file, got a symbolic link at /etc/tocsin/credentials/ca.pem: systemd does not hand it to the courier',
  );
  expect(readCredentials(mqtt(place)).ca?.toString()).toBe('PEM'); // a path from / is read as it stands
  rmSync(place);
  vi.unstubAllEnvs();
});

test('a credential is told of, and taken, by the file that was written, also where its whole path was', () => {
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

test('each credential that is named is read, a password without what an editor leaves behind it', () => {
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
