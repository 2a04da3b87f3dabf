import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';
import { buildProgram } from '../../agent/cli/program.ts';

const order = ['lib', 'config', 'audio', 'classify', 'events', 'outbox', 'delivery', 'meter', 'pipeline.ts', 'cli', 'main.ts'];
const stages = ['audio', 'classify', 'events', 'outbox', 'delivery', 'meter'];
const files = globSync('agent/**/*.ts').map((path) => ({ path, place: path.split('/')[1] as string, text: readFileSync(path, 'utf8') }));
const imports = files.flatMap(({ path, place, text }) =>
  [...text.matchAll(/^(?:import|export)( type)?[^'\n]*(?:\n[^'\n]*)*? from '(\.[^']+)'/gm)].map(([, type, target]) => {
    const to = normalize(join(dirname(path), target as string)).split('/')[1] as string;
    return { path, place, to, type: type !== undefined };
  }),
);

test('imports run in one direction', () => {
  const wrong = imports.filter(({ place, to }) => order.indexOf(to) > order.indexOf(place));
  expect(wrong).toEqual([]);
  expect(imports.length).toBeGreaterThan(50);
});

test('a stage imports only types from other stages', () => {
  expect(imports.filter(({ place, to, type }) => stages.includes(place) && stages.includes(to) && place !== to && !type)).toEqual([]);
});

test.each(['node-web-audio-api', 'onnxruntime-node', 'better-sqlite3', 'mqtt', 'koffi'])('%s is imported by one file', (dependency) => {
  expect(files.filter(({ text }) => text.includes(`from '${dependency}'`) || text.includes(`import('${dependency}')`)).map(({ path }) => path)).toHaveLength(1);
});

test('messages are published only through the schema gate, both by the courier and by test commands', () => {
  const uses = (pattern: RegExp) => files.flatMap(({ path, text }) => (path.startsWith('agent/delivery/') ? [] : (text.match(pattern) ?? [])));
  expect(uses(/.*publishUnchecked.*/g)).toEqual([]);
  expect(uses(/.*\bmqttPublisher\(.*/g).filter((line) => !line.includes('closedPublisher(mqttPublisher('))).toEqual([]);
  expect(files.filter(({ text }) => text.includes('publishUnchecked')).map(({ path }) => path)).toEqual([
    'agent/delivery/closed-publisher.ts',
    'agent/delivery/mqtt-probe.ts',
  ]);
});

test('files are short and have no default exports or enums; comments fit 120 columns', () => {
  for (const { path, text } of files) {
    expect(
      text.split('\n').filter((line) => line.length > 120 && /^ *(\/\/|\/?\*)/.test(line)),
      path,
    ).toEqual([]);
    expect(text, path).not.toMatch(/^export default|^(export )?enum /m);
  }
  const long = globSync(['agent/**/*.ts', 'test/**/*.ts', 'models/**/*.ts', 'deploy/**/*.ts'], { exclude: ['**/node_modules'] });
  expect(long.length).toBeGreaterThan(400);
  expect(long.filter((path) => readFileSync(path, 'utf8').split('\n').length > 301)).toEqual([]);
});

test('the agent reckons dates and hours in UTC alone, whatever the time zone of the board', () => {
  const local =
    /\.(?:get|set)(?:FullYear|Month|Date|Day|Hours|Minutes|Seconds)\(|getTimezoneOffset|toLocale(?:Date|Time)?String|\.to(?:Date|Time)String|DateTimeFormat/;
  expect(files.filter(({ text }) => local.test(text)).map(({ path }) => path)).toEqual([]);
});

/**
 * The files that a start of these files loads: their static imports and dynamic imports, recursively. Left out is what
 * only the call of another command imports.
 */
function loaded(...starts: readonly string[]) {
  const seen = new Set<string>();
  const load = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const atOnce = /^(?:import|export) (?!type )[^;]*?'(\.[^']+)';/gm;
    const later = callers.includes(path) ? [] : [...textOf(path).matchAll(/import\('(\.[^']+)'\)/g)];
    for (const [, target] of [...textOf(path).matchAll(atOnce), ...later]) load(normalize(join(dirname(path), target as string)));
  };
  starts.forEach(load);
  return [...seen].map((path) => ({ path, text: textOf(path) }));
}

function textOf(path: string): string {
  const file = files.find((each) => each.path === path);
  if (!file) throw new Error(`Expected ${path} among the agent's files`);
  return file.text;
}

const callers = ['agent/cli/program.ts', 'agent/cli/run.ts']; // these import the modules of a command when it is called
const everyHalf = ['agent/main.ts', 'agent/cli/run.ts'];
const networks = /(?:from |import\()'(?:mqtt|(?:node:)?(?:net|tls|https?|http2|dgram|dns)(?:\/[a-z]+)?)'/;
const sounds = /(?:from |import\()'(?:onnxruntime-node|node-web-audio-api)'/;

test('no module that `listen` loads reaches a network, except the local socket of the meter', () => {
  const listener = loaded(...everyHalf, 'agent/cli/run/listener.ts');
  expect(listener.map(({ path }) => path)).toContain('agent/classify/onnx-classifier.ts');
  // the meter's socket listens on a path and connects to nothing
  const reaching = listener.filter(({ text }) => networks.test(text));
  expect(reaching.map(({ path }) => path)).toEqual(['agent/meter/socket.ts']);
  expect(reaching[0]?.text).toMatch(/import \{ createServer, type Socket \} from 'node:net';/);
  expect(reaching[0]?.text.match(/\.listen\([^)]*/g)).toEqual(['.listen({ path }']);
});

test('no module that `deliver` loads opens a sound device, a sound file, a model or the meter socket', () => {
  const courier = loaded(...everyHalf, 'agent/cli/run/courier.ts');
  expect(courier.map(({ path }) => path)).toContain('agent/delivery/mqtt-publisher.ts');
  expect(courier.filter(({ text }) => sounds.test(text)).map(({ path }) => path)).toEqual([]);
  expect(courier.filter(({ path }) => /^agent\/(audio|meter)\//.test(path)).map(({ path }) => path)).toEqual([]);
});

test.each(['listen', 'deliver'])('`%s` defines only the commands `run`, `listen`, `deliver` and `help`', async (half) => {
  const { commands } = await buildProgram(new AbortController().signal, 'en', undefined, half);
  expect(commands.map((command) => command.name())).toEqual(['run', 'listen', 'deliver', 'help']);
});
