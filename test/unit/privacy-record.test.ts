// The file by which the outcome of `privacy verify`, which root alone may write, comes to what is published.
import { chmodSync, chownSync, linkSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { readVerification, writeVerification } from '../../agent/cli/privacy/record.ts';
import { reportOf, verificationOf } from '../../agent/cli/privacy/report.ts';
import { openTranslate, text } from '../../agent/cli/translate.ts';
import type { Verification } from '../../agent/events/privacy.ts';

const without = process.getuid?.() === 0 ? undefined : 'needs root, whose word alone counts';
const told: Verification = { state: 'passed', time: '2026-10-01T00:00:00.000Z', digest: 'a'.repeat(64), passed: 42, failed: 0, unchecked: 0 };

test.skipIf(without)(`what another than root could have written is not published${without ? ` (left out: ${without})` : ''}`, () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-record-')), 'record', 'verification.json');
  const folder = dirname(path);
  expect(readVerification(path)).toBeUndefined();
  writeVerification(path, told);
  expect(readVerification(path)).toEqual(told);
  for (const place of [path, folder]) {
    const whole = place === folder ? 0o755 : 0o644;
    for (const [uid, mode] of [
      [64_009, whole],
      [0, whole | 0o020],
      [0, whole | 0o002],
    ] as const) {
      chownSync(place, uid, 0);
      chmodSync(place, mode);
      expect(readVerification(path), `${place} ${uid} ${mode.toString(8)}`).toBeUndefined();
    }
    chownSync(place, 0, 0);
    chmodSync(place, whole);
    expect(readVerification(path)).toEqual(told);
  }
  linkSync(path, join(folder, 'elsewhere'));
  rmSync(path);
  symlinkSync(join(folder, 'elsewhere'), path);
  expect(readVerification(path)).toBeUndefined();
});

test.skipIf(without)(`an outcome of another form is not published${without ? ` (left out: ${without})` : ''}`, () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-record-')), 'record', 'verification.json');
  writeVerification(path, told);
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(told);
  for (const other of [{ ...told, note: 'words' }, { ...told, state: 'words' }, { ...told, digest: 'words' }, { ...told, time: 'words' }, [], 'words']) {
    writeFileSync(path, JSON.stringify(other));
    expect(JSON.stringify(readVerification(path) ?? {}), JSON.stringify(other)).not.toContain('words');
    expect(() => writeVerification(path, { ...told, state: 'words' as never })).toThrow();
  }
});

test('a sensor has passed of which all was checked and nothing failed', () => {
  const outcome = (...states: ('pass' | 'fail' | 'unchecked')[]) => {
    const line = { check: 'network', part: 'listener', what: text('privacy.what.network'), how: text('privacy.how.network'), byHand: '' } as const;
    const lines = states.map((state) => ({ ...line, state, found: text('privacy.notAllowed') }));
    const { state, passed, failed, unchecked } = verificationOf(
      reportOf(lines, { site: '', sensor: '', version: '', bootId: '', time: '' }, openTranslate('en')),
    );
    return [state, passed, failed, unchecked];
  };
  expect(outcome('pass', 'pass')).toEqual(['passed', 2, 0, 0]);
  expect(outcome('pass', 'unchecked', 'pass')).toEqual(['incomplete', 2, 0, 1]);
  expect(outcome('unchecked', 'fail', 'pass')).toEqual(['failed', 1, 1, 1]);
});
