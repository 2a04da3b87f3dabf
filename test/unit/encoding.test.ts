import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { loadModel } from '../../agent/classify/model-manifest.ts';
import { unusableFile } from '../../agent/cli/doctor/credential-checks.ts';
import { readScenes } from '../../agent/cli/scenes.ts';
import { translateError } from '../../agent/cli/translate.ts';
import { loadConfig, loadOutboxPart } from '../../agent/config/load-config.ts';
import { readCredentials } from '../../agent/config/secrets.ts';
import type { TocsinError } from '../../agent/lib/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-encoding-'));
const plain = 'site: a # Süd\nsensor: b\nmicrophone:\n  device: hw:CARD=Dev\nmqtt:\n  url: mqtts://broker.example.org\n';

/** What the error says of a file with this content, and its hint. */
function refusal(content: string | Buffer, read: (path: string) => unknown = loadConfig, name = 'file'): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  try {
    read(path);
    return 'right';
  } catch (error) {
    const { message, tryHint } = error as TocsinError;
    for (const said of [message, tryHint]) expect(translateError(said, 'fr')).not.toMatch(/expected|UTF-16, not|save it|anew/i);
    return `${message.replaceAll(path, 'FILE')}; ${tryHint}`;
  }
}

const utf16 = (text: string) => Buffer.from(text, 'utf16le');

test.each([
  ['little-endian with a mark', utf16(`\ufeff${plain}`)],
  ['little-endian', utf16(plain)],
  ['big-endian with a mark', utf16(`\ufeff${plain}`).swap16()],
  ['big-endian', utf16(plain).swap16()],
])('a configuration in UTF-16, %s, is refused as that, with the way to convert it', (_name, content) => {
  expect(refusal(content)).toBe('Expected text in UTF-8 in FILE, got UTF-16; save it as UTF-8, or here: iconv -f utf-16 -t utf-8 FILE > NEW-FILE');
});

test('a configuration with a byte order mark, line ends of Windows, blanks at line ends or another encoding in a comment is taken', () => {
  const latin = Buffer.from(plain, 'latin1');
  for (const content of [`\ufeff${plain}`, plain.replaceAll('\n', '\r\n'), plain.replaceAll('\n', ' \t\n'), latin]) expect(refusal(content)).toBe('right');
});

test.each([
  ['Latin-1', Buffer.from(plain.replace('site: a', 'site: süd'), 'latin1')],
  ['gzip', gzipSync(plain)],
])('a configuration in %s is refused as no UTF-8', (_name, content) => {
  expect(refusal(content)).toMatch(/^Expected text in UTF-8 in FILE, got other bytes; if it is the right file, save it as UTF-8, or here: iconv/);
});

test.each([
  ['  device', '\u00a0\u00a0device', '\\u00a0\\u00a0device: expected no such key'],
  [': hw', ': \u202fhw', 'got "\\u202fhw:CARD=Dev"; type blanks'],
  ['mqtt:', 'mqtt:\n  username: lamp\u00a0', 'mqtt.username: expected text of one line, without control characters or blanks at its ends, got "lamp\\u00a0"'],
  ['site: a', 'site: “a”', 'got "“a”"; type blanks'],
  ['sensor: b', 'sensor: post–1', 'got "post–1"; type blanks'],
  ['microphone:', 'microphone:\u00a0', 'at line 3, column 1; type the blanks, quotes and hyphens of the line named anew'],
])('what a word processor put in the place of %j is shown, and the hint is to type it anew', (from, to, said) => {
  expect(refusal(plain.replace(from, to))).toContain(said);
});

test('a mistake on another line than pasted text has the usual hint', () => {
  expect(refusal(`# “a”\n${plain.replace('sensor: b', 'sensor:b')}`)).toMatch(/ at line 3, column 1; check the line named: /);
});

test.each(['\u00a0', ' ', '\t'])('a blank at either end of a user name is refused: %j', (blank) => {
  for (const name of [`${blank}lamp`, `lamp${blank}`])
    expect(refusal(`${plain}  username: ${JSON.stringify(name)}\n`)).toContain(
      'mqtt.username: expected text of one line, without control characters or blanks',
    );
});

test('of a key without a space behind its colon the hint speaks', () => {
  expect(refusal(plain.replace('sensor: b', 'sensor:b'))).toMatch(/ at line 2, column 1; check the line named: .*a space behind the colon/);
});

test('the outbox of a configuration in another encoding is known, as of one that is wrong in another part', () => {
  const path = join(folder, 'latin.yaml');
  writeFileSync(path, Buffer.from(`${plain.replace('site: a', 'site: süd')}outbox: {path: /srv/outbox.db}\n`, 'latin1'));
  expect(loadOutboxPart(path)?.path).toBe('/srv/outbox.db');
});

test('a hint to type a name anew is given only for one that was pasted', () => {
  expect(refusal(plain.replace('site: a', 'site: A\u0001'))).toMatch(/; tocsin config example shows/);
});

test('a configuration that Windows called .txt is found, with the command that names it right', () => {
  writeFileSync(join(folder, 'my sensor.yaml.txt'), plain);
  const path = join(folder, 'my sensor.yaml');
  expect(() => loadConfig(path)).toThrow(expect.objectContaining({ tryHint: `Windows called it .txt: sudo mv '${path}.txt' '${path}'` }));
});

test('an authority in UTF-16 is told by doctor as that', () => {
  expect(unusableFile({ ca: utf16('\ufeff-----BEGIN CERTIFICATE-----') })?.found.values.what).toMatchObject({ key: 'doctor.tls.content.utf16' });
});

test('a password, the manifest of a model, scenes and an event in UTF-16 are refused as that', () => {
  const [event, config] = [join(folder, 'event.json'), join(folder, 'tocsin.yaml')];
  writeFileSync(event, utf16('{}'));
  writeFileSync(config, plain);
  const { mqtt } = loadConfig(config);
  const password = (content: Buffer) => refusal(content, (passwordFile) => readCredentials({ ...mqtt, passwordFile }));
  expect(password(utf16('secret'))).toBe('mqtt.passwordFile: expected text in UTF-8, got UTF-16; write the password into it anew, as UTF-8');
  expect(password(Buffer.from('Schlüssel', 'latin1'))).toMatch(/got other bytes; write the password/);
  for (const right of ['\ufeffSchlüssel\r\n', 'x']) expect(password(Buffer.from(right))).toBe('right');
  expect(refusal(utf16('[]'), () => readScenes(folder), 'scenes.json')).toMatch(/got: text in UTF-16, not in UTF-8;/);
  expect(refusal(utf16(readFileSync('models/street/manifest.json', 'utf8')), () => loadModel(folder), 'manifest.json')).toMatch(
    /^Expected JSON in FILE, got: text in UTF-16, not in UTF-8;/,
  );
  const { stderr } = spawnSync(process.execPath, ['agent/main.ts', 'events', 'explain', event, '-c', config], { encoding: 'utf8' });
  expect(stderr).toContain('got: (file): expected text in UTF-8, got UTF-16');
});
