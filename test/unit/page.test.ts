import { chmodSync, chownSync, closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { checkPage, writePage } from '../../agent/cli/output.ts';
import { exitCodes } from '../../agent/lib/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-page-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a page replaces the old one atomically: a reader of the old one reads it completely, and mode and symbolic link stay', () => {
  const path = join(folder, 'page.html');
  writeFileSync(path, 'old');
  chmodSync(path, 0o640);
  symlinkSync('page.html', join(folder, 'link.html'));
  const reader = openSync(path, 'r');
  checkPage(join(folder, 'link.html'));
  expect(readFileSync(path, 'utf8')).toBe('old');
  writePage(join(folder, 'link.html'), 'new');
  expect([readFileSync(reader, 'utf8'), readFileSync(path, 'utf8'), statSync(path).mode & 0o777]).toEqual(['old', 'new', 0o640]);
  closeSync(reader);
  expect(readdirSync(folder)).toEqual(['link.html', 'page.html']);
});

test('a new page has the mode that the umask leaves it, like any new file', () => {
  const umask = process.umask(0o027);
  try {
    writePage(join(folder, 'new.html'), 'page');
  } finally {
    process.umask(umask);
  }
  expect(statSync(join(folder, 'new.html')).mode & 0o777).toBe(0o640);
  rmSync(join(folder, 'new.html'));
});

test.skipIf(process.getuid?.() !== 0)('with sudo the page keeps its owner (needs root)', () => {
  const path = join(folder, 'owned.html');
  writeFileSync(path, 'old');
  chownSync(path, 64_000, 64_001);
  writePage(path, 'new');
  expect([statSync(path).uid, statSync(path).gid]).toEqual([64_000, 64_001]);
  rmSync(path);
});

test('a device is written to and stays a device; a full one gives an error with a hint, not a usage error', () => {
  writePage('/dev/null', 'x');
  expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
  const full = { exitCode: exitCodes.failure, tryHint: 'make room there (df -h), or name a file elsewhere' };
  expect(() => writePage('/dev/full', 'x')).toThrow(expect.objectContaining(full));
  const path = join(folder, 'shell.html'); // as with `--out /dev/stdout > shell.html`
  const file = openSync(path, 'w');
  const { ino } = statSync(path);
  writePage(`/proc/self/fd/${file}`, 'page');
  closeSync(file);
  expect([readFileSync(path, 'utf8'), statSync(path).ino]).toEqual(['page', ino]);
  rmSync(path);
});

test('a symbolic link to a missing file is followed, and neither checkPage nor writePage touches other files', () => {
  const own = mkdtempSync(join(folder, 'own-'));
  const [path, link] = [join(own, 'page.html'), join(own, 'link.html')];
  const others = [`${path}.try`, `${path}.${process.pid}.tmp`];
  for (const other of others) writeFileSync(other, 'other');
  checkPage(path);
  writePage(path, 'page');
  expect(readFileSync(path, 'utf8')).toBe('page');
  expect(others.map((other) => readFileSync(other, 'utf8'))).toEqual(['other', 'other']);
  symlinkSync('target.html', link);
  checkPage(link);
  writePage(link, 'page');
  expect(readFileSync(join(own, 'target.html'), 'utf8')).toBe('page');
  rmSync(own, { recursive: true });
});

test('checkPage reports a page that cannot be written, and creates no file', () => {
  for (const path of [folder, join(folder, 'none', 'page.html')]) expect(() => checkPage(path)).toThrow(expect.objectContaining({ exitCode: exitCodes.usage }));
  expect(() => checkPage(join(folder, 'none', 'page.html'))).toThrow(`no such file or directory, access '${join(folder, 'none')}'`);
  checkPage(join(folder, 'other.html'));
  expect(readdirSync(folder)).not.toContain('other.html');
});
