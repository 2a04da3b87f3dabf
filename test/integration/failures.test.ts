import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { type Language, languages } from '../../agent/cli/message.ts';
import { reportError } from '../../agent/cli/output.ts';
import { buildProgram } from '../../agent/cli/program.ts';
import { exitCodes } from '../../agent/lib/errors.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { wavFile } from '../demo/synthesise-scene.ts';
import { freePort } from '../support/broker.ts';
import { limits, recordedEvent } from '../support/samples.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-failures-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, content: string | Buffer) => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

const nowhere = join(folder, 'nowhere');
const outbox = join(folder, 'outbox.db');
openSqliteOutbox(outbox, limits).close();
const url = `mqtt://127.0.0.1:${await freePort()}`;
const sound = { adapter: 'file', file: 'deploy/selftest.wav' };
const config = (name: string, change: object = {}) =>
  file(`${name}.yaml`, stringify({ site: 'test', sensor: 'post-1', microphone: sound, outbox: { path: outbox }, mqtt: { url }, ...change }));
const good = config('good');
const keyless = config('keyless', { mqtt: { url: url.replace('mqtt', 'mqtts'), certFile: `${nowhere}.pem`, keyFile: nowhere } });
const damaged = (() => {
  const path = join(folder, 'damaged.db');
  const db = openSqliteOutbox(path, limits);
  for (let i = 0; i < 50; i++) db.append(recordedEvent(i));
  db.close();
  writeFileSync(path, readFileSync(path).fill(0x55, 1024, 8192));
  return config('damaged', { outbox: { path } });
})();
/** A folder with one scene: half digital silence, half a constant, without any event. */
const recorded = scenes('recorded', [{ file: 'silence.wav', seconds: 1, events: [] }]);
function scenes(name: string, list: object[]): string {
  const home = join(folder, name);
  mkdirSync(home);
  writeFileSync(join(home, 'scenes.json'), JSON.stringify(list));
  writeFileSync(join(home, 'silence.wav'), wavFile(new Int16Array(16_000).fill(1, 8000), 16_000));
  return home;
}
const text = file('text.wav', 'not a sound');
const noModel = config('no-model', { model: { path: nowhere } });
const noSecret = config('no-secret', { mqtt: { url: 'mqtts://127.0.0.1', caFile: nowhere } });
const noFile = config('no-file', { microphone: { adapter: 'file', file: nowhere } });
const noCard = config('no-card', { microphone: { device: 'plughw:CARD=Nowhere,DEV=0' } });

const removed = config('removed');
const notToBeWritten = `/proc/self/fd/${openSync(removed, 'r')}`; // still readable, but in no folder: root may write nearly everywhere else
rmSync(removed);

const { failure, usage, config: wrongConfig, audio, model, outbox: wrongOutbox, broker, check, identity } = exitCodes;
const readers = [
  'listen',
  'deliver',
  'run',
  'selftest',
  'calibrate',
  'calibrate thresholds --budget 2/week',
  'meter',
  'status',
  'outbox',
  'events',
  'config check',
  'config show',
];
const everywhere = [...readers, 'events explain 1', 'privacy verify', 'privacy manifest', 'provision', 'commission'];

/** A command line, the expected exit code and the expected error. */
const rows: [line: string, exitCode: number, error: RegExp][] = [
  ['serenade', usage, /unknown command 'serenade'/],
  ['status --loud', usage, /unknown option '--loud'/],
  ['evnts', usage, /unknown command 'evnts'; did you mean 'events'\?\nTry: tocsin events --help$/m],
  ['events explan 4', usage, /did you mean 'explain'\?\nTry: tocsin events explain --help$/m],
  ['events —json', usage, /unknown command '—json'; did you mean '--json'\?\nTry: tocsin events --help$/m],
  ['doctor –c tocsin.yaml', usage, /too many arguments for 'doctor', from '–c' on; did you mean '-c'\?\nTry: tocsin doctor --help$/m],
  ['events --jsn', usage, /did you mean '--json'\?\nTry: tocsin events --help$/m],
  ['calibrate thresholds', usage, /missing option '--budget <count\/span>'\nTry: tocsin calibrate thresholds --help$/m],
  ['help foo', usage, /unknown command 'foo'\nTry: tocsin --help$/m],
  ['help evnts', usage, /unknown command 'evnts'; did you mean 'events'\?\nTry: tocsin events --help$/m],
  ['help config chek', usage, /unknown command 'chek'; did you mean 'check'\?\nTry: tocsin config check --help$/m],
  ['help status twice', usage, /unknown command 'twice'\nTry: tocsin status --help$/m],
  ['config help shew', usage, /unknown command 'shew'; did you mean 'show'\?/],
  ['status too many', usage, /too many arguments for 'status', from 'too' on\nTry: tocsin status --help/],
  ['config check tocsin.yaml', usage, /too many arguments for 'check', from 'tocsin.yaml' on\nTry: tocsin config check -c tocsin.yaml/],
  ['replay', usage, /missing required argument 'file'/],
  ...['config example a.yaml', 'events explain a.yaml b'].map((command): [string, number, RegExp] => [command, usage, /\nTry: tocsin \w+ \w+ --help/]),
  ['model --json a b.yaml', usage, /too many arguments for 'model', from 'b.yaml' on\nTry: tocsin model --help/],
  ['status -c', usage, /'-c, --config <file>' needs a value/],
  ...['doctor', 'model', 'replay deploy/selftest.wav'].map((command): [string, number, RegExp] => [
    `${command} -c `,
    usage,
    /<file>: expected a path, got ''\n/,
  ]),
  ...['model ', 'evaluate ', 'privacy list '].map((line): [string, number, RegExp] => [line, usage, /(folder|dir): expected a path, got ''\n/]),
  ['replay x --operating-point soft', usage, /--operating-point <name>: expected one of balanced, strict, got 'soft'/],
  ['status --lang klingon', usage, /--lang <language>: expected one of en, fr, got 'klingon'\nTry: tocsin status --help$/m],
  ['events explain 17 --lang=de', usage, /Try: tocsin events explain --help$/m],
  ['--lang=de status', usage, /Try: tocsin status --help$/m],
  ['--lang status', usage, /Try: tocsin --help$/m],
  ['completion ksh', usage, /shell: expected one of bash, zsh, fish, got 'ksh'/],
  ['calibrate --level 100', usage, /expected one of 94, 114, got '100'/],
  ['selftest --ask --speaker', usage, /cannot be used together/],
  ['commission --speaker --no-microphone', usage, /cannot be used together/],
  ['provision --install a --ca b --renew --discard', usage, /cannot be used together: '--install <file>', '--renew'\nTry: tocsin provision --help$/m],
  [`model -c ${good} models/street`, usage, /cannot be used together: '\[folder\]', '-c, --config <file>'\nTry: tocsin model --help$/m],
  [`privacy verify --no-record --listener-pid 4194303 -c ${good} --report ${nowhere}/page.html`, usage, /^Error: Expected to write .*page.html, got: ENOENT/],
  ['privacy verify --listener-pid me', usage, /expected a process id, got 'me'/],
  ...[
    'bench --seconds 0',
    'calibrate --wait soon',
    'calibrate --seconds -1',
    'selftest --seconds 1e3',
    'commission --seconds x',
    'meter --seconds 0',
    'events --limit 0',
  ].map((line): [string, number, RegExp] => [line, usage, /expected a whole number from 1 to \d+, got '/]),
  ...everywhere.map((command): [string, number, RegExp] => [`${command} -c ${nowhere}`, wrongConfig, /Expected a configuration file at /]),
  [`replay ${text} -c ${nowhere}`, wrongConfig, /Expected a configuration file at /],
  [`config check -c ${file('yaml.yaml', 'site: [')}`, wrongConfig, /Expected YAML in /],
  [`config check -c ${config('keys', { site: 'Vieux Port', log: { level: 'loud' } })}`, wrongConfig, /has 2 problems:/],
  [`config check -c ${config('tls', { mqtt: { url, certFile: 'a', keyFile: 'b' } })}`, wrongConfig, /expected mqtts:\/\/ or wss:\/\/ together with certFile/],
  [`deliver -c ${noSecret}`, wrongConfig, /mqtt.caFile: expected a readable file/],
  [`replay ${nowhere}`, audio, /Expected a wav, flac, ogg or mp3 file at /],
  [`replay ${text}`, audio, /Expected a wav, flac, ogg or mp3 file at /],
  [`evaluate ${nowhere}`, audio, /Expected scenes.json in /],
  [`evaluate ${scenes('empty', [])}`, audio, /Expected a scene in .*\/empty\/scenes.json, got an empty list\nTry: tocsin evaluate --help/],
  [
    `evaluate ${scenes('absent', [
      { file: 'silence.wav', seconds: 60, events: [] }, // its length is wrong too: the missing file is reported before any sound is heard
      { file: 'gone.wav', seconds: 1, events: [] },
    ])}`,
    audio,
    /Expected every recording of the scenes, got 1 of 2 that cannot be read, first .*gone.wav\nTry: /,
  ],
  [
    `evaluate ${scenes('longer', [{ file: 'silence.wav', seconds: 60, events: [] }])}`,
    audio,
    /Expected 60 s of sound in .*silence.wav, as scenes.json says, got 1 s$/m,
  ],
  [
    `evaluate ${scenes('gunshot', [{ file: 'silence.wav', seconds: 1, events: [{ onset: 0, offset: 1, label: 'gunshot' }] }])}`,
    audio,
    /got "gunshot"\nTry: tocsin evaluate --help/,
  ],
  [`selftest --ask -c ${noCard}`, audio, /the chain broke at the microphone/],
  [`selftest --speaker -c ${noFile}`, wrongConfig, /Expected a microphone for --speaker, got the file .*\nTry: set microphone/],
  [`calibrate --dry-run -c ${noCard}`, audio, /./],
  [`calibrate -c ${notToBeWritten}`, wrongConfig, /Expected to write .*, got: ENOENT.*\nTry: run it again with sudo/],
  [`model ${nowhere}`, model, /Expected manifest.json in .*\nTry: name a folder as models/],
  [`replay deploy/selftest.wav --model ${nowhere}`, model, /Expected manifest.json in /],
  [`bench --model ${nowhere}`, model, /Expected manifest.json in /],
  [`listen -c ${noModel}`, model, /Expected manifest.json in /],
  [`selftest -c ${noModel}`, model, /the chain broke at the model/],
  [`status -c ${damaged}`, wrongOutbox, /Expected to read the outbox /],
  [`outbox -c ${damaged}`, wrongOutbox, /Expected to read the outbox /],
  [`events -c ${damaged}`, wrongOutbox, /Expected to read the outbox /],
  [`selftest -c ${damaged}`, wrongOutbox, /the chain broke at the outbox/],
  [`events explain 7 -c ${good}`, wrongOutbox, /event 7 is not waiting in the outbox/],
  [
    `events explain ${text} -c ${good}`,
    wrongOutbox,
    /Expected an event of Tocsin as JSON in .*, got: \(file\): expected JSON, got "not a sound"\nTry: save the payload/,
  ],
  [
    `events explain ${file('id.json', '{"specversion":"1.0","id":"\\u001b[2J"}')} -c ${good}`,
    wrongOutbox,
    /got: id: expected text of the form \/.*\/, got "\\u001b\[2J"\n/,
  ],
  [`events explain ${file('list.json', '[1]')} -c ${good}`, wrongOutbox, /got: \(file\): expected a group of keys, got \[1\]\n/],
  [`events explain . -c ${good}`, wrongOutbox, /got: EISDIR/],
  [`events explain missing.json -c ${good}`, wrongOutbox, /in missing\.json, got: ENOENT/],
  [`selftest -c ${good}`, broker, /the chain broke at the broker/],
  [`doctor -c ${nowhere}`, check, /failed checks: 1 of 18 \(config\)|failed checks: \d of 18 \(config/],
  [`commission -c ${keyless}`, identity, /Expected the private key of this sensor at .*nowhere, got: ENOENT/],
  [`provision --ca ${text} -c ${good}`, usage, /Expected --ca with --install, got --ca alone/],
  [`privacy list ${nowhere}`, usage, /Expected an installation in .*, got: ENOENT/],
  [`privacy list ${text}`, usage, /Expected an installation in .*, got: ENOTDIR/],
  [`privacy list ${recorded}`, usage, /Expected an installation in .*, got a folder without agent\nTry: name the folder/],
  [`evaluate ${recorded} --out ${nowhere}/page.html`, usage, /Expected to write .*\nTry: name a file in a folder that exists and/m],
  [
    `evaluate ${scenes('unheard', [{ file: 'silence.wav', seconds: 60, events: [] }])} --out ${recorded}`, // reported before the wrong scenes
    usage,
    /Expected to write .*\/recorded, got: EISDIR/,
  ],
  [`evaluate ${recorded} --out ${recorded}/../recorded/scenes.json`, usage, /Expected --out to name a file of its own, got .*scenes.json, which/],
  [`evaluate ${recorded} --out /dev/full`, failure, /got: ENOSPC.*\nTry: make room there \(df -h\)/],
  [
    `privacy verify --no-record --listener-pid 4194303 --package-list ${nowhere} -c ${good} --report /dev/full`,
    check,
    /^Error: Expected to write .*full, got: ENOSPC.*\nTry: .*\nError: failed checks: /m,
  ],
];

/** Runs a command line as main.ts does, in this process. Returns exit code and output. No output is a terminal. */
async function run(line: string, language: Language, signal = AbortSignal.timeout(60_000)) {
  const said: string[] = [];
  const printed: string[] = [];
  const silence = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => printed.push(String(chunk)) > 0);
  const listen = vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => said.push(String(chunk)) > 0);
  try {
    const program = await buildProgram(signal, language, undefined, line.split(' ')[0]);
    await program.parseAsync(['node', 'tocsin', ...line.split(' ')]);
    return { exitCode: 0, stdout: printed.join(''), stderr: said.join('') };
  } catch (error) {
    return { exitCode: reportError(error, language), stdout: printed.join(''), stderr: said.join('') };
  } finally {
    silence.mockRestore();
    listen.mockRestore();
  }
}

test.each(rows)('%s', async (line, exitCode, error) => {
  const said: string[] = [];
  for (const language of languages) {
    const { exitCode: code, stderr } = await run(line, language);
    const [first, hint] = language === 'en' ? ['Error: ', 'Try: '] : ['Erreur\u00a0: ', 'Essayez\u00a0: '];
    expect({ line, language, code, stderr }).toMatchObject({ code: exitCode });
    const lines = stderr.slice(stderr.indexOf(first)); // a log may come before it
    expect(lines.startsWith(first), stderr).toBe(true);
    expect(lines).toContain(`\n${hint}`);
    expect(stderr).not.toMatch(/\n {4}at /); // no stack trace of this code
    if (language === 'en') expect(lines).toMatch(error);
    said.push(lines.slice(first.length));
  }
  expect(said[1], 'the French is not the English').not.toBe(said[0]);
});

test('`bench` stops during its measurement', async () => {
  expect(await run('bench --seconds 20000 --json', 'en', AbortSignal.timeout(300))).toMatchObject({ exitCode: 130, stdout: '' });
});

test('`replay` reports on stderr that nothing was recognised, except with --json', async () => {
  const silence = join(recorded, 'silence.wav');
  expect(await run(`replay ${silence}`, 'en')).toEqual({ exitCode: 0, stdout: '', stderr: 'No sound was recognised, with the thresholds “balanced”.\n' });
  expect((await run(`replay ${silence}`, 'fr')).stderr).toBe('Aucun son reconnu, avec les seuils «\u00a0balanced\u00a0».\n');
  expect(await run(`replay ${silence} --json`, 'en')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
  expect((await run('replay deploy/selftest.wav', 'en')).stderr).toBe('');
});

test('an error about a file to explain is translated to French, in one line', async () => {
  const said = async (name: string, content: string) => (await run(`events explain ${file(name, content)} -c ${good}`, 'fr')).stderr.split('\n')[0];
  expect((await run(`events explain . -c ${good}`, 'fr')).stderr).toContain('obtenu\u00a0: c’est un dossier (EISDIR)');
  expect(await said('a.json', 'nothing')).toMatch(/dans .*a\.json, obtenu\u00a0: \(file\)\u00a0: attendu du JSON, obtenu "nothing"$/);
  expect(await said('b.json', '{}')).toMatch(/obtenu\u00a0: specversion\u00a0: attendu l’une des valeurs "1.0", obtenu rien$/);
  expect(await said('c.json', '{"specversion":"1.0","id":1}')).toMatch(/obtenu\u00a0: id\u00a0: attendu un texte, entre guillemets, obtenu 1$/);
});

test('`help` shows the help of the named subcommand', async () => {
  for (const line of ['help config check', 'config help check', 'help config check --lang en']) {
    const { exitCode, stdout } = await run(line, 'en');
    expect({ line, exitCode, stdout }).toEqual({ line, exitCode: 0, stdout: expect.stringMatching(/^Usage: tocsin config check /) });
  }
  expect((await run('help', 'en')).stdout).toMatch(/^Usage: tocsin \[options\] \[command\]/);
  expect((await run('help doctor', 'fr')).stdout).toMatch(/^Usage\u00a0: tocsin doctor /);
});

test.each([
  `calibrate -c ${good} --json`,
  `calibrate --measure -c ${good} --json`,
  `selftest -c ${good} --json`,
  `selftest --ask -c ${noCard} --json`,
  'replay deploy/selftest.wav --json',
  'bench --json',
  `doctor -c ${good} --json`,
  `evaluate ${recorded} --json`,
])('stopped by hand, a command ends with exit code 130 and prints no result: %s', async (line) => {
  for (const [language, said, hint] of [
    ['en', 'Expected to run to the end, got a stop by hand', 'Try: start again'],
    ['fr', 'Arrêté à la main avant la fin', 'Essayez\u00a0: recommencez'],
  ] as const) {
    const { exitCode, stdout, stderr } = await run(line, language, AbortSignal.timeout(1)); // before its model or file is open
    expect({ exitCode, stdout }).toEqual({ exitCode: 130, stdout: '' }); // and no partial result
    expect(stderr).toContain(said);
    expect(stderr).toContain(hint);
  }
});

test('stopped by hand, `privacy verify` neither prints a result nor hands one to the courier', async () => {
  const recordPath = join(folder, 'verification.json');
  const line = `privacy verify -c ${config('record', { privacy: { recordPath } })} --json`;
  expect(await run(line, 'en', AbortSignal.abort())).toMatchObject({ exitCode: 130, stdout: '' });
  expect(existsSync(recordPath)).toBe(false);
});

test('every exit code is documented and, apart from three, expected by a row above', () => {
  const document = readFileSync('docs/cli.md', 'utf8').replace(/\s+/g, ' ');
  for (const code of Object.values(exitCodes)) expect(document).toMatch(new RegExp(`\\| ${code} \\| \\w`));
  const shown = new Set(rows.map(([, code]) => code));
  // stopped: above; unchecked: commission.test.ts; unread: e2e/agent.test.ts
  const { unchecked, stopped, unread } = exitCodes;
  expect(Object.values(exitCodes).filter((code) => !shown.has(code) && ![unchecked, stopped, unread].includes(code as 9))).toEqual([]);
});
