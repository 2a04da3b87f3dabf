import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, linkSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { expect, test } from 'vitest';
import { wrongIn } from '../../agent/cli/privacy/courier-folder.ts';
import { openCourierNotes } from '../../agent/delivery/courier-notes.ts';
import { bootId, silentLogger } from '../support/samples.ts';

const setxattr = koffi.load(null).func('int setxattr(const char *path, const char *name, const void *value, size_t size, int flags)');
const uid = process.getuid?.() ?? 0;

function courierFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-courier-'));
  openCourierNotes(folder, silentLogger).change({ boots: [bootId], allowance: { bootId, monotonicMs: 7.5, messages: 3 } });
  return { folder, notes: join(folder, 'notes.json') };
}

test('a folder with the notes of the courier is as it should be, also while they are written', () => {
  const { folder } = courierFolder();
  expect(wrongIn(folder, uid)).toEqual([]);
  writeFileSync(join(folder, 'notes.json.0b6f.tmp'), '', { mode: 0o600 });
  expect(wrongIn(folder, uid)).toEqual([]);
});

type Place = ReturnType<typeof courierFolder>;
const within = (name: string) => (place: Place) => join(place.folder, name);
const plants: [string, (place: Place) => void, (place: Place) => string][] = [
  ['a stranger', ({ folder }) => writeFileSync(join(folder, 'sound.wav'), '', { mode: 0o600 }), within('sound.wav')],
  ['a folder', ({ folder }) => mkdirSync(join(folder, 'notes.json.tmp'), 0o700), ({ folder }) => folder],
  ['a link', ({ folder }) => symlinkSync('/dev/null', join(folder, 'notes.json.0.tmp')), within('notes.json.0.tmp')],
  ['words beside the notes', ({ notes }) => writeFileSync(notes, '{"format":1} what was said'), within('notes.json')],
  ['spaces within the notes', ({ notes }) => spawnSync('sed', ['-i', 's/:1,/: 1,/', notes]), within('notes.json')],
  ['a large file', ({ folder }) => writeFileSync(join(folder, 'notes.json.1.tmp'), Buffer.alloc(16_385), { mode: 0o600 }), within('notes.json.1.tmp')],
  ['notes that others may read', ({ notes }) => chmodSync(notes, 0o640), within('notes.json')],
  ['notes under a second name elsewhere', ({ notes }) => linkSync(notes, `${notes.replace('/notes.json', '')}-other`), within('notes.json')],
  ['an attribute', ({ notes }) => expect(setxattr(notes, 'user.said', '1', 1, 0)).toBe(0), within('notes.json')],
  ['a folder that others may enter', ({ folder }) => chmodSync(folder, 0o710), ({ folder }) => folder],
];
test.each(plants)('%s is found in the folder of the courier', (_, plant, found) => {
  const place = courierFolder();
  plant(place);
  expect(wrongIn(place.folder, uid)).toEqual([found(place)]);
});

const notRoot = uid === 0 ? undefined : 'needs root to give it away';
test.skipIf(notRoot)(`so is a folder or a file of another user${notRoot ? ` (left out: ${notRoot})` : ''}`, () => {
  const place = courierFolder();
  chownSync(place.notes, 65_534, 65_534);
  expect(wrongIn(place.folder, uid)).toEqual([place.notes]);
  chownSync(place.folder, 65_534, 65_534);
  expect(wrongIn(place.folder, uid)).toEqual([place.folder]);
});
