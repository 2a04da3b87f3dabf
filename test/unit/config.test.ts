import { generateKeyPairSync } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { brokerAddress } from '../../agent/config/broker-url.ts';
import { checkConfig, loadConfig, loadOutboxPart, meterSocketPath } from '../../agent/config/load-config.ts';
import { shownUrl } from '../../agent/config/problems.ts';
import { configSchema } from '../../agent/config/schema.ts';
import { redact } from '../../agent/config/secrets.ts';
import { openMqttProbe } from '../../agent/delivery/mqtt-probe.ts';
import { mqttPublisher } from '../../agent/delivery/mqtt-publisher.ts';
import { ConfigError } from '../../agent/lib/errors.ts';

const minimal = { site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' } };
const example = 'deploy/tocsin.example.yaml';

function problemsOf(value: unknown): string {
  try {
    checkConfig(value, 'test.yaml');
    return 'none';
  } catch (error) {
    return (error as Error).message;
  }
}

test('the example configuration is valid, names every key that has a value and shows the defaults', () => {
  const config = loadConfig(example);
  const text = readFileSync(example, 'utf8');
  for (const [section, value] of Object.entries(config))
    if (typeof value === 'object') for (const key of Object.keys(value)) expect(text, `${section}.${key}`).toContain(`${key}:`);
  const { microphone, outbox, log } = checkConfig(minimal, 'minimal');
  expect({ microphone: config.microphone, outbox: config.outbox, log: config.log }).toEqual({ microphone, outbox, log });
});

test('every key is in the example with its default; keys without a default are comments', () => {
  // a commented key is a line `# key: value` at its place
  const uncommented = parse(readFileSync(example, 'utf8').replace(/^( *)# ( *\w+:(?: |$))/gm, '$1$2')) as Record<string, Record<string, unknown>>;
  const keysOf = (value: unknown) => (typeof value === 'object' && value !== null ? Object.keys(value) : []);
  const defaults = configSchema.parse(minimal) as unknown as Record<string, Record<string, unknown>>;
  expect(Object.keys(uncommented).toSorted()).toEqual(Object.keys(configSchema.shape).toSorted());
  for (const [section, field] of Object.entries(configSchema.shape)) {
    const { shape } = ('unwrap' in field ? field.unwrap() : field) as { shape?: object };
    expect(keysOf(uncommented[section]).toSorted(), section).toEqual(keysOf(shape).toSorted());
    for (const key of keysOf(defaults[section]))
      if (`${section}.${key}` !== 'mqtt.url') expect(uncommented[section]?.[key], `${section}.${key}`).toEqual(defaults[section]?.[key]);
  }
  checkConfig(uncommented, example);
});

test('a group whose keys are all comments takes the defaults, and the outbox settings of such a file are known', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-')), 'empty-groups.yaml');
  const empty = Object.keys(configSchema.shape).filter((key) => !(key in minimal));
  writeFileSync(path, `site: a\nsensor: b\nmqtt: { url: mqtt://localhost }\n${empty.map((key) => `${key}:\n  # a key\n`).join('')}`);
  const defaults = checkConfig(minimal, 'minimal');
  expect(empty).toContain('microphone');
  expect([loadConfig(path), loadOutboxPart(path)]).toEqual([defaults, defaults.outbox]);
  expect(problemsOf({ site: null, sensor: 'b', mqtt: null })).toMatch(/site: expected text, got nothing\n {2}mqtt: expected a group of keys, got nothing$/);
  expect(problemsOf({ ...minimal, health: { intervalSeconds: null } })).toMatch(/health.intervalSeconds: expected a number, got nothing$/);
});

test('error messages about a file contain no character that ends a line, moves the cursor or turns the order of reading', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-')), 'binary.yaml');
  for (const content of [
    '\u001b[2J\u0007: [\u009b31m',
    'site: [\n\u001b]0;title\u0007',
    '"\\e[2J": 1',
    'site: "\\x9b2J"',
    'site: "\u202egnp.a\u2028"',
    '"\u2066a\u2029": 1',
  ]) {
    writeFileSync(path, content);
    const said = () => loadConfig(path);
    expect(said, content).toThrow(/binary.yaml/);
    expect(said, content).not.toThrow(/(?!\n)[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u);
  }
});

test('every configuration key has a description', () => {
  const undescribed: string[] = [];
  const visit = (shape: Record<string, { description?: string; unwrap?: () => unknown; shape?: Record<string, never> }>, path: string) => {
    for (const [key, field] of Object.entries(shape)) {
      let inner = field as { shape?: Record<string, never>; unwrap?: () => typeof inner };
      while (!inner.shape && inner.unwrap) inner = inner.unwrap();
      if (inner.shape) visit(inner.shape, `${path}${key}.`);
      else if (!field.description) undescribed.push(path + key);
    }
  };
  visit(configSchema.shape as never, '');
  expect(undescribed).toEqual([]);
});

test('all problems are reported at once, each with its path, the expectation and the value found', () => {
  const text = problemsOf({ ...minimal, site: 'Vieux Port', colour: 'red', microphone: { sampleRateHz: 8000 }, outbox: { maxMegabytes: 'big' }, mqtt: {} });
  expect(text).toContain('has 5 problems');
  expect(text).toMatch(/site: expected .*a-z.*got "Vieux Port"/);
  expect(text).toMatch(/colour: expected no such key, got "red"/);
  expect(text).toMatch(/microphone.sampleRateHz: expected .*got 8000/);
  expect(text).toMatch(/outbox.maxMegabytes: expected a number, got "big"/);
  expect(text).toMatch(/mqtt.url: expected .*got nothing/);
});

test('a control character in a path or another name is refused: the system, MQTT or whoever reads the journal would stumble over it', () => {
  const [path, list] = ['/srv/a\0b', 'a\nb'];
  const mqtt = { url: 'mqtts://broker.example.org', caFile: path, username: list };
  const said = problemsOf({
    ...minimal,
    microphone: { device: `usb:1234:abcd:${list}` },
    model: { path: list },
    outbox: { path },
    meter: { socket: path },
    mqtt,
  });
  expect(said).toContain('has 6 problems');
  expect(said.match(/(\S+): expected text of one line, without control characters/g)).toHaveLength(5);
  expect(said).toMatch(/outbox.path: .* got "\/srv\/a\\u0000b"\n {2}mqtt.username: .*\n {2}mqtt.caFile: expected the name of a file/);
});

test('keys that depend on each other are checked together', () => {
  expect(problemsOf({ ...minimal, microphone: { adapter: 'file' } })).toContain('microphone.file: expected the path');
  expect(problemsOf({ ...minimal, mqtt: { url: 'mqtt://localhost', certFile: 'a' } })).toContain('mqtt.keyFile: expected certFile and keyFile together');
  expect(problemsOf({ ...minimal, mqtt: { url: 'mqtt://localhost', keyFile: 'a' } })).toContain('mqtt.certFile: expected certFile and keyFile together');
});

test('a password in the broker URL is refused, and the user name is redacted', () => {
  expect(problemsOf({ ...minimal, mqtt: { url: 'mqtt://u:p@host' } })).toContain('mqtt.url');
  const shown = JSON.stringify(redact(checkConfig({ ...minimal, mqtt: { url: 'mqtt://localhost', username: 'secret-user', passwordFile: '/p' } }, 'x')));
  expect(shown).not.toContain('secret-user');
});

test('the query and fragment of a broker URL are hidden, as they may hold a token', async () => {
  const url = 'ws://127.0.0.1:9/mqtt?token=hunter2&user=post-1';
  const config = checkConfig({ ...minimal, mqtt: { url } }, 'x');
  expect(redact(config).mqtt.url).toBe('ws://127.0.0.1:9/mqtt?(redacted)');
  expect(shownUrl('mqtts://broker.example.org:8884/path#hunter2')).toBe('mqtts://broker.example.org:8884/path#(redacted)');
  for (const unclear of ['mqtts://post-1:hunt?er2@broker', 'mqtts://broker?token=h@unter2']) expect(shownUrl(unclear)).toBe('mqtts://(redacted)');
  expect(shownUrl('mqtts://broker.example.org:8884/path')).toBe('mqtts://broker.example.org:8884/path');
  expect(problemsOf({ ...minimal, mqtt: { url: url.replace('127.0.0.1', 'broker.example.org') } })).toMatch(
    /got "ws:\/\/broker.example.org:9\/mqtt\?\(redacted\)"$/,
  );
  // the error of a failed connection goes to the journal
  const refused = [openMqttProbe(config.mqtt, {}, 'a', 1000), mqttPublisher(config.mqtt, {}, 'a')({ topic: 'a', payload: '' }, AbortSignal.timeout(5000))];
  for (const attempt of refused) await expect(attempt).rejects.toThrow('the broker at ws://127.0.0.1:9/mqtt?(redacted) to accept');
  const known = /(shownUrl|show|brokerAddress|connected)\((config\.)?mqtt\.url/g;
  const shown = (path: string) => /[:({] ?(config\.)?mqtt\.url[,)} ]/.test(readFileSync(path, 'utf8').replace(known, ''));
  expect(globSync('agent/**/*.ts').filter(shown)).toEqual([]);
});

test('a number beyond all others, or a value nested a hundred thousand times, is shown as what it is', () => {
  expect(problemsOf({ ...minimal, outbox: { maxAgeDays: Number.POSITIVE_INFINITY } })).toMatch(/outbox.maxAgeDays: expected a number, got Infinity$/);
  const depth = 100_000;
  const [list, group] = ['['.repeat(depth) + ']'.repeat(depth), '{"a":'.repeat(depth) + 0 + '}'.repeat(depth)].map((text) => JSON.parse(text));
  expect(problemsOf({ ...minimal, log: list })).toMatch(/log: expected a group of keys, got \[\.\.\.\]$/);
  expect(problemsOf({ ...minimal, health: group })).toMatch(/health.a: expected no such key, got \{\.\.\.\}$/);
});

test('a secret written into the configuration file is refused, and the message, which goes to the journal, does not show it', () => {
  const mqtt = { url: 'mqtts://post-1:a/b@hunter2@broker.example.org', password: 'hunter2', pass: 'hunter2', pwd: 481516, 'password\u00a0': 'hunter2' };
  const said = problemsOf({ ...minimal, mqtt, broker: { name: 'b', apiToken: 'hunter2', pin: 481516 }, Passwd: 481516 });
  expect(said).not.toMatch(/hunter2|481516/);
  for (const line of ['got "mqtts://(redacted)@broker.example.org"', 'mqtt.password: expected no such key, got "(redacted)"', '"name":"b"'])
    expect(said).toContain(line);
  const token = 'c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMw';
  expect(problemsOf({ ...minimal, mqtt: { url: `mqtt://localhost/${token}`, certFile: 'a', keyFile: 'b' } })).toMatch(/together with certFile, got (?!.*c2Vj)/);
  expect(problemsOf({ ...minimal, mqtt: { ...minimal.mqtt, passwordFile: 7 } })).toContain('mqtt.passwordFile: expected text, between quotes, got 7');
});

function loaded(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-')), 'tocsin.yaml');
  writeFileSync(path, text);
  try {
    loadConfig(path);
    return 'right';
  } catch (error) {
    expect(error, text.slice(0, 80)).toBeInstanceOf(ConfigError);
    return `${(error as ConfigError).message.replace(path, 'FILE')}; ${(error as ConfigError).tryHint}`;
  }
}

test('a private key pasted in place of its file name is refused and not shown, however it was pasted', () => {
  const pem = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const lines = pem.privateKey.trim().split('\n');
  const body = lines.slice(1, -1);
  const base = 'site: a\nsensor: b\nmqtt:\n  url: mqtts://broker.example.org\n  certFile: sensor.pem\n';
  const said = [
    ...['|\n    ', '>\n    ', ''].map((begin) => loaded(`${base}  keyFile: ${begin}${lines.join('\n    ')}\n`)),
    loaded(`${base}  keyFile: "${lines.join('\\n')}"\n`),
    loaded(`${base}  keyFile: ${body.join('\n    ')}\n`),
    loaded(`${base}  keyFile: ${body.join('')}\n`),
    loaded(`${base}  keyFile: ${body[0]?.replaceAll('/', 'a')}\n`),
    loaded(`${base}  certFile: ${lines.join('\n    ')}\n`.replace('  certFile: sensor.pem\n', '')),
    loaded(`${base}  keyFile:\n    - ${lines.join('\n    - ')}\n`),
    loaded(`${base}  keyFile:\n    ${lines.join(': 1\n    ')}: 1\n`),
    loaded(`${base}  ${lines.join(': 1\n  ')}: 1\n`),
    ...['', '  ', '"', '|\n'].map((begin) => loaded(`${base}  keyFile: ${begin}${lines.join('\n')}\n`)),
  ];
  for (const one of said) {
    expect(one).toMatch(/^(FILE has|Expected YAML in FILE)/);
    for (const line of body) for (let at = 0; at + 12 <= line.length; at++) expect(one).not.toContain(line.slice(at, at + 12));
  }
  expect(said[0]).toContain(
    'mqtt.keyFile: expected the name of a file in /etc/tocsin/credentials (letters and digits, no folder), or an absolute path to another folder; the secret itself goes into that file, got "(redacted)"',
  );
  for (const name of [`${'0123456789abcdef'.repeat(4)}.pem`, `/srv/${'keys/'.repeat(12)}sensor`])
    expect(problemsOf({ ...minimal, mqtt: { url: 'mqtts://broker.example.org', certFile: name, keyFile: name } }), name).toBe('none');
});

test('an absent file and a file that is not YAML are refused with an error that says so', () => {
  expect(() => loadConfig('/nowhere.yaml')).toThrow(/Expected a configuration file at \/nowhere.yaml/);
  expect(loaded('site: [')).toMatch(/^Expected YAML in FILE, got: Flow sequence .* at line 1, column 8; check the line named: indentation, quotes/);
  for (const tagged of ['!!binary aGVsbG8=', 'site: a\nsensor: !!binary aGVsbG8=', 'site: !own a'])
    expect(loaded(tagged)).toMatch(/^Expected YAML in FILE, got: Unresolved tag at line \d, column \d; check/);
});

test('an alias that is undefined, refers to itself or expands too far is refused with an error that says so', () => {
  const laughs = [...'abcdefgh'].map((name, i, all) => `${name}: &${name} [${Array(9).fill(i === 0 ? 'ha' : `*${all[i - 1]}`)}]`).join('\n');
  for (const text of ['site: &a [*a]', '&a [*a]', '&a\nsite: *a', 'site: *a', laughs])
    expect(loaded(text)).toBe(
      'Expected YAML in FILE, got: an alias (*name) that is undefined, contains itself or is repeated too often; write the value itself in place of each *name',
    );
  expect(loaded(`site: a\nsensor: b\nmqtt: ${'['.repeat(20_000)}`)).toMatch(
    /^Expected YAML in FILE, got: a value nested too deeply at line 3, column \d+; check the line/,
  );
  expect(loaded('site: &a here\nsensor: *a\nmqtt: {url: mqtt://localhost}')).toBe('right');
});

test('a YAML error does not show the text at its position, which may be a password', async () => {
  const warned: Error[] = [];
  const note = (warning: Error) => void warned.push(warning);
  process.on('warning', note);
  for (const line of [
    'password: "hunter2',
    'password: !hunter2',
    'password: *hunter2',
    'password: |hunter2',
    'a: b\nhunter2',
    '[hunter2: ]: 3, ? {hunter2}: 4',
  ])
    expect(loaded(`${line}\n`), line).not.toContain('hunter2');
  await new Promise((resolve) => setImmediate(resolve)); // until a warning would have been emitted
  process.off('warning', note);
  expect(warned).toEqual([]);
});

test('a connection without TLS is accepted only to this machine or with `allowPlaintext`', () => {
  for (const url of ['mqtt://broker.example.org', 'ws://10.0.0.1:9001', 'mqtt://[2001:db8::1]', 'mqtt://127.0.0.1.example.org'])
    expect(problemsOf({ ...minimal, mqtt: { url } }), url).toMatch(/mqtt.url: expected mqtts:\/\/ or wss:\/\/.*allowPlaintext/);
  for (const url of ['mqtt://127.0.0.1:1884', 'mqtt://localhost', 'mqtt://[::1]:1883', 'mqtts://broker.example.org', 'wss://broker.example.org'])
    expect(checkConfig({ ...minimal, mqtt: { url } }, 'x').mqtt.allowPlaintext, url).toBe(false);
  expect(checkConfig({ ...minimal, mqtt: { url: 'mqtt://broker.example.org', allowPlaintext: true } }, 'x').mqtt.url).toContain('example');
});

test('a broker URL without a host, or with an invalid port, is refused; the MQTT client would use this machine instead', () => {
  for (const url of ['mqtts:///broker.example.org', 'mqtts://?broker', 'mqtts://#broker', 'mqtts://broker.example.org:0', 'wss://broker.example.org:99999'])
    expect(problemsOf({ ...minimal, mqtt: { url } }), url).toContain('mqtt.url: expected a valid host and port');
  expect(problemsOf({ ...minimal, mqtt: { url: 'mqtts://broker.example.org:8884/path' } })).toBe('none');
});

test('without a port in the URL the default port of the protocol is used', () => {
  const portOf = (scheme: string) => brokerAddress(`${scheme}://broker.example.org`).port;
  expect(['mqtt', 'mqtts', 'ws', 'wss'].map(portOf)).toEqual([1883, 8883, 80, 443]);
});

test('a threshold of 0, at which a sound would never end, is refused', () => {
  expect(problemsOf({ ...minimal, model: { open: { bang: 0 } } })).toContain('model.open.bang: expected at least 0.001, got 0');
  expect(problemsOf({ ...minimal, model: { open: { bang: 1, shout: 0.001 } } })).toBe('none');
});

test('the outbox settings of an otherwise invalid configuration are known; a missing file or invalid outbox settings give none', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-config-')), 'tocsin.yaml');
  const outboxOf = (content: string) => {
    writeFileSync(path, content);
    return loadOutboxPart(path);
  };
  expect(outboxOf('site: "Vieux Port"\noutbox:\n  path: /somewhere/outbox.db\n  maxMegabytes: 8\n')).toMatchObject({
    path: '/somewhere/outbox.db',
    maxMegabytes: 8,
  });
  for (const wrong of ['outbox: [', 'outbox:\n  maxMegabytes: big\n']) expect(outboxOf(wrong)).toBeUndefined();
  expect(loadOutboxPart(`${path}.none`)).toBeUndefined();
});

test('the meter socket is beside the outbox; for the outbox of the service it is in /run/tocsin', () => {
  const socketOf = (path: string, meter: { socket?: string } = {}) => meterSocketPath({ meter, outbox: { ...checkConfig(minimal, 'test.yaml').outbox, path } });
  expect(socketOf('/tmp/trial/outbox.db')).toBe('/tmp/trial/meter.sock');
  expect(socketOf('/var/lib/tocsin/outbox.db')).toBe('/run/tocsin/meter.sock');
  expect(socketOf('/var/lib/tocsin/outbox.db', { socket: '/run/other.sock' })).toBe('/run/other.sock');
});

test('a relative model path starts at the installation; an absolute path is used as it is', () => {
  const pathOf = (model: object) => checkConfig({ ...minimal, model }, 'test.yaml').model.path;
  expect(pathOf({ path: '/srv/model' })).toBe('/srv/model');
  expect(pathOf({ path: 'models/other' })).toBe(resolve('models/other'));
  expect(problemsOf(undefined)).toMatch(/site: expected .*got nothing/);
});
