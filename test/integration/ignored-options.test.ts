import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

const tocsin = (call: string) => spawnSync(process.execPath, ['agent/main.ts', ...call.split(' ')], { encoding: 'utf8' });

test.each([
  ['calibrate thresholds --budget 2/week --level 114', `'thresholds', '--level <dB>'`, 'calibrate thresholds'],
  ['calibrate --seconds 9 thresholds --budget 2/week', `'thresholds', '--seconds <count>'`, 'calibrate thresholds'],
  ['calibrate thresholds --budget 2/week --wait 9', `'thresholds', '--wait <seconds>'`, 'calibrate thresholds'],
  ['calibrate thresholds --budget 2/week --measure', `'thresholds', '--measure'`, 'calibrate thresholds'],
  ['events explain 1 --follow', `'explain', '-f, --follow'`, 'events explain'],
  ['events -n 3 explain 1', `'explain', '-n, --limit <count>'`, 'events explain'],
  ['commission --no-microphone --seconds 9', `'--no-microphone', '--seconds <count>'`, 'commission'],
  ['evaluate /nonexistent --json --out page.html', `'--out <file>', '--json'`, 'evaluate'],
])('an option without effect in this call is refused: tocsin %s', (call, what, command) => {
  const { status, stdout, stderr } = tocsin(call);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toContain(`these options cannot be used together: ${what}\nTry: tocsin ${command} --help`);
});

test('`selftest` without a microphone refuses --seconds, the time in which a sound must come', () => {
  for (const more of ['', ' --one-way', ' --json']) {
    const { status, stdout, stderr } = tocsin(`selftest --seconds 9${more}`);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toBe('Error: Expected --seconds with --ask or --speaker, got --seconds alone\nTry: sudo tocsin selftest --ask --seconds 60\n');
  }
  for (const heard of ['--ask', '--speaker']) expect(tocsin(`selftest -c /nonexistent --seconds 9 ${heard}`).status, heard).toBe(3);
});

test.each([
  ['provision --install', 'a path'],
  ['provision --ca', 'a path'],
  ['evaluate /nonexistent --out', 'a path'],
  ['evaluate /nonexistent --model', 'a path'],
  ['replay /nonexistent --model', 'a path'],
  ['bench --model', 'a path'],
  ['commission --out', 'a path'],
  ['privacy verify --report', 'a path'],
  ['privacy verify --manifest', 'a path'],
  ['privacy verify --package-list', 'a path'],
  ['selftest --speaker', 'the name of a device'],
  ['commission --speaker', 'the name of a device'],
])('an empty value, as of an unset shell variable, is refused and not taken for a missing option: tocsin %s', (call, what) => {
  const { status, stdout, stderr } = tocsin(`${call} `);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toContain(`: expected ${what}, got ''\n`);
});

test.each(['1e400', '0x10', '1e1', '0', '61', '10.5'])('`calibrate thresholds` accepts 1 to 60 whole days, and refuses --days %s', (days) => {
  const { status, stderr } = tocsin(`calibrate thresholds --budget 2/week --days ${days}`);
  expect(status).toBe(2);
  expect(stderr).toContain(`expected a whole number from 1 to 60, got '${days}'`);
});
