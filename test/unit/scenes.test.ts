import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readScenes } from '../../agent/cli/scenes.ts';
import { translateError } from '../../agent/cli/translate.ts';
import { AudioError, messageOf } from '../../agent/lib/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-scenes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function read(value: unknown) {
  writeFileSync(join(folder, 'scenes.json'), typeof value === 'string' ? value : JSON.stringify(value));
  return readScenes(folder);
}
function refused(value: unknown): string {
  try {
    read(value);
  } catch (error) {
    expect(error).toBeInstanceOf(AudioError);
    return messageOf(error);
  }
  return 'taken';
}
const scene = { file: 'a.wav', seconds: 60, events: [] };
const withEvent = (event: object) => [{ ...scene, events: [{ onset: 1, offset: 2, ...event }] }];

test('an event without a label, or with an empty one, is a confuser; additional keys are ignored', () => {
  const events = [
    { onset: 0, offset: 0, label: 'bang', snr: 12, source: 'own' },
    { onset: 60, offset: 60.5, label: '', kind: 'door', clip: 'a' },
    { onset: 3, offset: 4, label: null, snr: null },
  ];
  const [read0] = read([{ ...scene, file: 'été/a "b" <c>.wav', bed: ['street'], events }]);
  expect(read0?.file).toBe('été/a "b" <c>.wav');
  expect(read0?.events.map(({ label, kind, snr }) => [label, kind, snr])).toEqual([
    ['bang', undefined, 12],
    [undefined, 'door', undefined],
    [undefined, undefined, undefined],
  ]);
});

test.each<[string, unknown, RegExp]>([
  ['not a list', scene, /has 1 problem:\n {2}\(file\): expected a list, got \{"file"/],
  ['not JSON', '[{', /Expected scenes.json in .*: a list of \{file, seconds, events\}, got: /],
  ['an unknown label', withEvent({ label: 'gunshot' }), /0\.events\.0\.label: expected one of "glass_break", "shout", "bang", got "gunshot"/],
  ['a label in capitals', withEvent({ label: 'Bang' }), /0\.events\.0\.label: expected one of .*, got "Bang"/],
  ['a time as text', withEvent({ onset: '1' }), /0\.events\.0\.onset: expected a number, got "1"/],
  ['no offset', withEvent({ offset: undefined }), /0\.events\.0\.offset: expected a number, got nothing/],
  ['a time below 0', withEvent({ onset: -1 }), /0\.events\.0\.onset: expected at least 0, got -1/],
  ['an offset before the onset', withEvent({ onset: 3 }), /0\.events\.0\.offset: expected no less than the onset, got 2/],
  ['an onset after the end of the scene', withEvent({ onset: 61, offset: 62 }), /0\.events\.0\.onset: expected no more than the seconds of its scene, got 61/],
  ['a kind that is not text', withEvent({ kind: 7 }), /0\.events\.0\.kind: expected text, between quotes, got 7/],
  ['a length of 0', [{ ...scene, seconds: 0 }], /0\.seconds: expected more than 0, got 0/],
  ['a length below 0', [{ ...scene, seconds: -60 }], /0\.seconds: expected more than 0, got -60/],
  ['a file twice', [scene, scene], /1\.file: expected each file once, got "a\.wav"/],
  ['a file twice, spelt in two ways', [scene, { ...scene, file: './b/../a.wav' }], /1\.file: expected each file once, got "\.\/b\/\.\.\/a\.wav"/],
  ['an offset long after the end of the scene', withEvent({ offset: 60.6 }), /0\.events\.0\.offset: expected no more than the seconds of its scene, got 60\.6/],
  [
    'an event twice',
    [{ ...scene, events: ['shout', 'bang', 'bang'].map((label) => ({ onset: 1, offset: 2, label })) }],
    /has 1 problem:\n {2}0\.events\.2: expected each event once, got \{"onset":1/,
  ],
  ['no events', [{ file: 'a.wav', seconds: 1 }], /0\.events: expected a list, got nothing/],
])('scenes.json with %s is refused, and the error gives the place', (_, value, message) => {
  expect(refused(value)).toMatch(message);
});

test('a misspelt `label`, `kind` or `snr` key is refused, since it would make a target a confuser; other keys are ignored', () => {
  const slips = { lable: 'label', Label: 'label', labels: 'label', lbel: 'label', babel: 'label', Kind: 'kind', SNR: 'snr' };
  for (const [key, meant] of Object.entries(slips))
    expect(refused(withEvent({ [key]: 'bang' })).split('\n')[1]).toBe(`  0.events.0.${key}: expected its name to be ${meant}, got "bang"`);
  expect(refused(withEvent({ lable: 'bang', Snr: 3 }))).toMatch(/has 2 problems:\n.*\.lable: .*\n.*\.Snr: /);
  expect(translateError(refused(withEvent({ lable: 'bang' })), 'fr')).toContain('attendu comme nom label, obtenu "bang"');
  for (const key of ['level', 'class', 'x', '', 'constructor', 'source', 'snrDb', 'lebal']) expect(read(withEvent({ [key]: 3 }))).toHaveLength(1);
  for (const label of ['bang', '', null]) expect(read(withEvent({ label, labels: ['bang', 'firework'] }))).toHaveLength(1);
});

test('all problems of scenes.json are counted and the first 20 are shown, in French too', () => {
  const events = Array.from({ length: 500 }, () => ({ onset: 1, offset: 2, label: 'shot' }));
  const lines = refused([{ ...scene, events }]).split('\n');
  expect(lines).toHaveLength(22);
  expect(lines[0]).toMatch(/has 500 problems:$/);
  expect(lines.at(-1)).toBe('  ...');
  expect(translateError(refused([scene, scene]), 'fr')).toContain('1.file\u00a0: attendu chaque fichier une seule fois, obtenu "a.wav"');
});

test('a folder without scenes.json gives an error that describes the expected list', () => {
  mkdirSync(join(folder, 'empty'));
  expect(() => readScenes(join(folder, 'empty'))).toThrow(/Expected scenes.json in .*empty: a list .*ENOENT/);
});

test('a byte order mark at the start of scenes.json is ignored', () => {
  expect(read(`\uFEFF${JSON.stringify([scene])}`)).toHaveLength(1);
});

test('without scenes.json, each recording is labelled by the label track of Audacity beside it', () => {
  const dir = join(folder, 'tracks');
  mkdirSync(dir);
  const put = (name: string, text: string | Buffer) => writeFileSync(join(dir, name), text);
  const problems = () => {
    try {
      return readScenes(dir).length;
    } catch (error) {
      return messageOf(error).replaceAll(dir, 'DIR');
    }
  };
  for (const name of ['a.wav', 'b.FLAC', '._a.wav', 'notes.md']) put(name, '');
  expect(problems()).toMatch(/^Expected scenes.json in DIR: a list/);
  put('a.txt', '\uFEFF12.400000\t13.1\tbang\r\n\\\t200.000000\t4000.000000\r\n\r\n30\t30\t a siren \r\n');
  expect(problems()).toBe('Expected a label track beside every recording in DIR, got none for 1 of 2, first b.FLAC');
  expect(translateError(String(problems()), 'fr')).toMatch(/^Attendue une piste de marqueurs/);
  put('b.TXT', '');
  put('README.txt', 'no track');
  expect(readScenes(dir)).toEqual([
    {
      file: 'a.wav',
      track: 'a.txt',
      events: [
        { onset: 12.4, offset: 13.1, label: 'bang' },
        { onset: 30, offset: 30, kind: 'a siren' },
      ],
    },
    { file: 'b.FLAC', track: 'b.TXT', events: [] },
  ]);
  for (const [line, problem] of Object.entries({
    '1\t2\tGlass break': 'expected its name to be glass_break, got "1\\t2\\tGlass break"',
    '1\t2\tshouts': 'expected its name to be shout, got "1\\t2\\tshouts"',
    '1\t2\t': 'expected one of "glass_break", "shout", "bang", or what else is heard, got "1\\t2\\t"',
    '2\t1\tbang': 'expected no less than the onset, got "2\\t1\\tbang"',
    '1 2 bang': 'expected onset, offset and label, with a tab between them, got "1 2 bang"',
    '1,5\t2\tbang': 'expected times with a decimal point, not a comma, got "1,5\\t2\\tbang"',
    '1.5\t2,25\ta, b': 'expected times with a decimal point, not a comma, got "1.5\\t2,25\\ta, b"',
    '1,2,bang': 'expected onset, offset and label, with a tab between them, got "1,2,bang"',
    '-1\t2\tbang': 'expected onset, offset and label, with a tab between them, got "-1\\t2\\tbang"',
    '12.400000\t13.1\tbang': 'expected each event once, got "12.400000\\t13.1\\tbang"',
    '12.4\t13.10\tbang ': 'expected each event once, got "12.4\\t13.10\\tbang "',
  })) {
    put('a.txt', `12.400000\t13.1\tbang\n${line}\n`);
    expect(problems()).toBe(`DIR has 1 problem:\n  a.txt.2: ${problem}`);
    expect(translateError(String(problems()).split('\n')[1] as string, 'fr')).toMatch(/^ {2}a.txt.2\u00a0: attendu/);
  }
  put('a.txt', Buffer.from('1\t2\tbang', 'utf16le'));
  expect(problems()).toBe('Expected a label track in DIR/a.txt, got: text in UTF-16, not in UTF-8');
});

/** A folder of its own with these files. */
function folderWith(files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(folder, 'recordings-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}

test('two recordings whose names differ in case alone each have their own label track', () => {
  const dir = folderWith({ 'A.wav': '', 'A.txt': '1\t2\tbang', 'a.wav': '', 'a.txt': '3\t4\tshout' });
  expect(readScenes(dir).map(({ track, events }) => [track, events[0]?.label])).toEqual([
    ['A.txt', 'bang'],
    ['a.txt', 'shout'],
  ]);
});

test('one label track for two recordings is refused: the same sounds would be counted twice', () => {
  const dir = folderWith({ 'a.mp3': '', 'a.wav': '', 'a.txt': '1\t2\tbang', 'b.wav': '', 'b.txt': '' });
  const refused = () => readScenes(dir);
  expect(refused).toThrow(`Expected a label track for each recording in ${dir}, got a.txt for both a.mp3 and a.wav`);
  expect(refused).toThrow(expect.objectContaining({ tryHint: expect.stringContaining('leave one out') }));
});

test('a label track is found whose name spells an accent as one character, where its recording comes from a Mac and spells it as two', () => {
  const [mac, other] = ['e\u0301cole', '\u00e9cole'];
  const dir = folderWith({ [`${mac}.wav`]: '', [`${other}.txt`]: '1\t2\tbang', [`${other}2.wav`]: '', [`${mac}2.txt`]: '' });
  expect(readScenes(dir).map(({ track }) => track)).toEqual([`${other}.txt`, `${mac}2.txt`]);
});

test('a label track whose recording has another format is not left out: its sounds would be missing from the score', () => {
  const track = '1.5\t2\tbang\n\\\t200.0\t4000.0\n3\t4\ta door\n';
  const files = { 'a.wav': '', 'a.txt': track, 'b.m4a': '', 'b.txt': track, 'notes.txt': 'recorded in May\n1\t2\tbang\n', 'empty.txt': '' };
  const dir = folderWith(files);
  const message = (of: string) => `Expected a wav, flac, ogg or mp3 file beside every label track in ${of}, got none for 1 of them, first b.txt`;
  expect(() => readScenes(dir)).toThrow(message(dir));
  const none = folderWith({ 'b.opus': '', 'b.txt': track });
  expect(() => readScenes(none)).toThrow(message(none));
  rmSync(join(dir, 'b.txt'));
  expect(readScenes(dir)).toHaveLength(1);
});
