import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { allChecks } from '../../agent/cli/doctor.ts';
import { commandAt, everyCommand } from '../../agent/cli/manual/command-tree.ts';
import { fieldCard } from '../../agent/cli/manual/field-card.ts';
import { manPage } from '../../agent/cli/manual/man-page.ts';
import { documents, stale } from '../../agent/cli/manual/write-documents.ts';
import { completions, treeOf } from '../../agent/cli/manual.ts';
import { languages } from '../../agent/cli/message.ts';
import { reportOf } from '../../agent/cli/privacy/report.ts';
import { sensorChecks } from '../../agent/cli/privacy/sensor-checks.ts';
import { halfChecks } from '../../agent/cli/privacy/verify.ts';
import { buildProgram } from '../../agent/cli/program.ts';
import { openTranslate } from '../../agent/cli/translate.ts';
import { exitCodes } from '../../agent/lib/errors.ts';
import { missing } from '../support/broker.ts';

const signal = new AbortController().signal;
const tree = treeOf(await buildProgram(signal));

test('the generated files under deploy/ are up to date (npm run documents)', async () => expect(stale(await documents())).toEqual([]));

test('an added command appears in the man page and the shell completions', async () => {
  const program = await buildProgram(signal);
  program.command('serenade').description('sings').option('--loud <file>', 'with a score');
  const grown = treeOf(program);
  const t = openTranslate('en');
  for (const document of [manPage(grown, '1', '2026-11-01', t), ...Object.values(completions).map((of) => of(grown))]) {
    expect(document).toContain('serenade');
    expect(document).toContain('loud');
  }
});

test('the man page names every command, option, argument, example, exit code and file', () => {
  const page = readFileSync('deploy/man/tocsin.1', 'utf8').replaceAll('\\-', '-');
  const said = page.replace(/\s+/g, ' ');
  for (const command of everyCommand(tree)) {
    for (const { description } of command.options) expect(said).toContain(description);
    if (command.words.length > 0) expect(page).toContain(`.SS "tocsin ${command.words.join(' ')}"`);
    for (const { long, short } of command.options) for (const flag of [long, short]) expect(page).toContain(flag ?? long);
    for (const { name } of command.arguments) expect(page).toContain(`.I ${name}`);
    for (const example of command.examples) expect(page).toContain(example);
    expect(said).toContain(command.description);
  }
  for (const code of [0, ...Object.values(exitCodes)]) expect(page).toMatch(new RegExp(`\\.B ${code}\\n\\w`));
});

test('docs/cli.md names every check of `privacy verify`, and every JSON key that --help names', () => {
  const rows = readFileSync('docs/cli.md', 'utf8').split('\n');
  const checks = rows.slice(rows.indexOf('| check | of | what must be so |')).filter((row) => row.startsWith('| `'));
  expect([...sensorChecks, ...halfChecks].map(({ id }) => id).filter((id) => !checks.some((row) => row.includes(`\`${id}\``)))).toEqual([]);
  for (const { words, options } of everyCommand(tree)) {
    const shape = /^one JSON object(?: a line)?: (.*)/.exec(options.find(({ long }) => long === '--json')?.description ?? '')?.[1] ?? '';
    const keys = shape.replace(/\[.*\]/, '').split(/[,;:] */);
    const row = rows.find((line) => line.startsWith(`| \`${words.join(' ').replace('config check', 'config check / show / example')}`)) ?? '';
    for (const key of keys.filter((word) => /^\w+$/.test(word))) expect(row, `${words.join(' ')}: ${key}`).toContain(`\`${key}\``);
  }
});

test('docs/cli.md names the checks of doctor in their order, and --help each key of the report of `privacy verify`', () => {
  const sentence = /step by step: ([^.]*)\./.exec(readFileSync('docs/cli.md', 'utf8'))?.[1] ?? '';
  expect(sentence.match(/(?<=`)\w+(?=`)/g)).toEqual(allChecks.map(({ id }) => id));
  const occasion = { site: 'a', sensor: 'b', version: '0', bootId: 'c', time: 'd' };
  const { description } = commandAt(tree, 'privacy verify').options.find(({ long }) => long === '--json') ?? {};
  expect(description?.replace(/^[^:]*: |: \[.*\]/g, '').split(', ')).toEqual(Object.keys(reportOf([], occasion, openTranslate('en'))));
});

test('in the French documents a no-break space precedes each sign of punctuation that needs one', () => {
  const written = ['deploy/man/tocsin.fr.1', 'deploy/field-card/field-card.fr.html'].map((path) =>
    readFileSync(path, 'utf8').replace(/<style>.*<\/style>/s, ''),
  );
  // `&#38;` ends in such a sign, and code keeps the spaces of the shell
  const parted = written.flatMap((page) => page.replace(/&#\d+;|<code>.*?<\/code>/g, '').match(/.{0,20}(?<!\\~|\u00a0)[;!?](?=\s|$)/gm) ?? []);
  expect(parted).toEqual([]);
});

const lint = missing('mandoc', 'man');
describe.skipIf(lint)(`rendering the man page${lint ? ` (left out: ${lint})` : ''}`, () => {
  test.each(['tocsin.1', 'tocsin.fr.1'])('%s renders without a warning', (name) => {
    const path = resolve('deploy/man', name);
    expect(spawnSync('mandoc', ['-Tlint', '-W', 'warning', path], { encoding: 'utf8' })).toMatchObject({ stdout: '', stderr: '', status: 0 });
    const groff = spawnSync('man', ['--warnings', '-E', 'UTF-8', '-l', path], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8', MANWIDTH: '60' } });
    expect({ stderr: groff.stderr, status: groff.status }).toEqual({ stderr: '', status: 0 });
    expect(groff.stdout.length).toBeGreaterThan(5000);
  });

  test('a line that begins with a dot or an apostrophe is rendered as text', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'tocsin-man-')), 'x.1');
    const planted = { ...tree, description: `.br 'quoted ${'word '.repeat(14)}.TH of a \\ line` };
    spawnSync('sh', ['-c', 'cat > "$1"', 'sh', path], { input: manPage(planted, '1', '2026-11-01', openTranslate('en')) });
    const { stdout } = spawnSync('mandoc', ['-Tutf8', path], { encoding: 'utf8' });
    expect(stdout.replace(/\s+/g, ' ')).toContain(".br 'quoted word");
    expect(stdout.replace(/\s+/g, ' ')).toContain('.TH of a \\ line');
  });
});

describe('the field card', () => {
  test('is not built if it names a command that does not exist', () => {
    expect(() => commandAt(tree, 'serenade')).toThrow('expected a command');
    const without = { ...tree, commands: tree.commands.filter(({ words }) => words[0] !== 'selftest') };
    expect(() => fieldCard(without, '1', openTranslate('en'))).toThrow('expected a command "selftest"');
  });

  const printer = missing('weasyprint', 'pdfinfo');
  test.skipIf(printer).each([...languages])(`is one A4 page (%s)${printer ? ` (left out: ${printer})` : ''}`, async (language) => {
    const pdf = join(mkdtempSync(join(tmpdir(), 'tocsin-card-')), 'card.pdf');
    spawnSync('weasyprint', ['-q', '-', pdf], { input: (await documents())[`field-card/field-card.${language}.html`] });
    const { stdout } = spawnSync('pdfinfo', [pdf], { encoding: 'utf8' });
    expect(stdout).toMatch(/Pages: +1\n/);
    expect(stdout).toMatch(/\(A4\)/);
  });
});
