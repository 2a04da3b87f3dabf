import { spawn, spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { version } from '../../agent/cli/command.ts';
import { openProgress } from '../../agent/cli/commission/progress.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { type Broker, freePort, missing, openMosquitto } from '../support/broker.ts';
import { openAuthority } from '../support/certificates.ts';
import { limits } from '../support/samples.ts';

const without = missing('mosquitto', 'openssl');
const folder = mkdtempSync(join(tmpdir(), 'tocsin-commission-'));
const authority = without ? undefined : openAuthority(folder, 'ca');

interface Report {
  verdict: string;
  sensor: string;
  doctor: { check: string; state: string; finding: string }[];
  selftest: {
    ok: boolean;
    sound: string;
    wholeMs?: number;
    brokeAt?: string;
    trace: { stepSeconds: number; levelDb: number[]; scores: Record<string, number[]> };
  };
  privacy: { state: string; checks: unknown[] };
}

function run(args: string[], env: NodeJS.ProcessEnv = process.env) {
  const child = spawn(process.execPath, ['agent/main.ts', 'commission', ...args], { env, detached: true }); // a process group as in a terminal
  let [out, err] = ['', ''];
  const said = (word: string) =>
    new Promise<void>((done) => {
      child.stdout.on('data', () => out.includes(word) && done());
    });
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  const ended = new Promise<{ status: number | null; out: string; err: string }>((done) => child.once('close', (status) => done({ status, out, err })));
  return { child, said, ended };
}

describe.skipIf(without)(`commission${without ? ` (left out: ${without})` : ''}`, () => {
  let broker: Broker;
  let mqtt: object;
  beforeAll(async () => {
    const [server, own] = [authority?.issue('localhost', 100), authority?.issue('post-1', 100)];
    const tls = ['allow_anonymous true', `cafile ${authority?.ca}`, `certfile ${server?.cert}`, `keyfile ${server?.key}`, 'require_certificate true'];
    broker = await openMosquitto(mkdtempSync(join(folder, 'broker-')), await freePort(), undefined, tls);
    mqtt = {
      url: broker.url.replace('mqtt://127.0.0.1', 'mqtts://localhost'),
      caFile: authority?.ca,
      certFile: own?.cert,
      keyFile: own?.key,
      ackTimeoutSeconds: 10,
    };
  });
  afterAll(async () => {
    await broker.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function sensor(change: object = {}, mqttChange: object = {}) {
    const home = mkdtempSync(join(folder, 'sensor-'));
    const config = {
      site: 'test',
      sensor: 'post-1',
      microphone: { adapter: 'file', file: resolve('test/demo/scene.flac') },
      outbox: { path: join(home, 'outbox.db') },
    };
    const path = join(home, 'tocsin.yaml');
    writeFileSync(path, stringify({ ...config, ...change, mqtt: { ...mqtt, ...mqttChange } }));
    const out = join(home, 'reports');
    mkdirSync(out);
    return { path, out, args: ['-c', path, '--out', out] };
  }
  const openssl = (cwd: string, ...args: string[]) => spawnSync('openssl', args, { cwd, encoding: 'utf8' });
  const verifies = (cwd: string, file: string) => openssl(cwd, 'dgst', '-sha256', '-verify', 'sensor.pub', '-signature', `${file}.sig`, file).status === 0;

  let sealed = '';
  test('leaves a report with signatures that openssl verifies, and names what could not be tested', async () => {
    const { args, out } = sensor();
    const { status, out: said, err } = await run([...args, '--no-microphone', '--json']).ended;
    const report = JSON.parse(said) as Report;
    // there are no services and no microphone here: nothing may fail, and not everything can be tested
    expect(report.doctor.filter(({ state }) => state === 'fail')).toEqual([]);
    expect(report.selftest).toMatchObject({ ok: true, sound: 'file' });
    expect({ status, verdict: report.verdict }, err).toEqual({ status: 9, verdict: 'incomplete' });
    expect(report.privacy.checks.length).toBeGreaterThan(20);

    const [name = '', ...others] = readdirSync(out);
    expect(others).toEqual([]); // no other files remain
    sealed = join(out, name);
    expect(readdirSync(sealed).toSorted()).toEqual(['report.html', 'report.html.sig', 'report.json', 'report.json.sig', 'sensor.pem', 'sensor.pub']);
    expect(JSON.parse(readFileSync(join(sealed, 'report.json'), 'utf8'))).toEqual(report);
    expect(verifies(sealed, 'report.json') && verifies(sealed, 'report.html')).toBe(true);
    expect(openssl(sealed, 'verify', '-CAfile', authority?.ca ?? '', 'sensor.pem').stdout).toContain('OK');
    expect(openssl(sealed, 'x509', '-in', 'sensor.pem', '-pubkey', '-noout').stdout).toBe(readFileSync(join(sealed, 'sensor.pub'), 'utf8'));
    const page = readFileSync(join(sealed, 'report.html'), 'utf8');
    expect(page.match(/<svg /g)).toHaveLength(4);
    expect(page).not.toMatch(/(?:src|href)="(?!#)/); // self-contained
  });

  test('the trace in the report has four values a second, whole decibels and at most ten seconds', () => {
    const { trace } = (JSON.parse(readFileSync(join(sealed, 'report.json'), 'utf8')) as Report).selftest;
    expect(trace.stepSeconds).toBe(0.25);
    for (const values of [trace.levelDb, ...Object.values(trace.scores)]) expect(values.length).toBeLessThanOrEqual(40);
    expect(trace.levelDb.every((level) => Number.isInteger(level))).toBe(true);
    expect(Math.max(...Object.values(trace.scores).flat())).toBeGreaterThan(0.5);
  });

  test('a changed letter, another signature or another key does not verify', () => {
    const changed = join(folder, 'changed');
    const again = () => cpSync(sealed, changed, { recursive: true });
    again();
    const json = readFileSync(join(changed, 'report.json'), 'utf8');
    writeFileSync(join(changed, 'report.json'), json.replace('incomplete', 'accepted__'));
    expect(verifies(changed, 'report.json')).toBe(false);
    again();
    cpSync(join(sealed, 'report.html.sig'), join(changed, 'report.json.sig'));
    expect(verifies(changed, 'report.json')).toBe(false);
    again();
    openssl(changed, 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'other.key');
    openssl(changed, 'ec', '-in', 'other.key', '-pubout', '-out', 'sensor.pub');
    expect(verifies(changed, 'report.json')).toBe(false);
    again();
    expect(verifies(changed, 'report.json')).toBe(true);
  });

  test('with an absent broker the verdict is `refused`, and the report says where the chain broke', async () => {
    const { args, out } = sensor({}, { url: `mqtts://localhost:${await freePort()}` });
    const { status, out: said, err } = await run([...args, '--no-microphone', '--lang', 'fr']).ended;
    expect(status).toBe(8);
    expect(err).toMatch(/^Erreur\u00a0: refusé\u00a0: doctor, selftest\nEssayez\u00a0: /);
    // the findings of each stage are printed as it runs
    expect(said).toMatch(/^ÉCHEC +port .+^la chaîne est rompue \(broker\).+^Essayez.+^3\. [^\n]+\n\d+ ok, 0 en échec.+^Refusé/ms);
    const [name = ''] = readdirSync(out);
    const report = JSON.parse(readFileSync(join(out, name, 'report.json'), 'utf8')) as Report;
    expect(report).toMatchObject({ verdict: 'refused', selftest: { ok: false, brokeAt: 'broker' } });
    expect(report.doctor.find(({ state }) => state === 'fail')?.finding).toBe('port.refused');
  });

  test('a stop by hand leaves no report, and the same command continues after the passed stages', async () => {
    const { args, out, path } = sensor();
    const first = run([...args, '--no-microphone']);
    await first.said('2. '); // doctor is done, the sound is played
    first.child.kill('SIGINT');
    const { status, err } = await first.ended;
    expect(status).toBe(130);
    expect(err).toMatch(/^Error: stopped by hand; no report was written. To continue from there:\nTry: /);
    expect(err.trimEnd().endsWith(`tocsin commission -c ${path} --out ${out} --no-microphone`), err).toBe(true);
    expect(readdirSync(out)).toEqual(['commission-post-1.partial.json']);
    const second = await run([...args, '--no-microphone']).ended;
    expect(second.status).toBe(9);
    expect(second.out.match(/passed before the stop/g)).toHaveLength(1);
    expect(readdirSync(out).filter((name) => name.includes('partial'))).toEqual([]);
    // the kept stages belong to that configuration only
    const third = run([...args, '--no-microphone']);
    await third.said('2. ');
    third.child.kill('SIGINT');
    await third.ended;
    writeFileSync(path, `${readFileSync(path, 'utf8')}log:\n  level: warn\n`);
    expect((await run([...args, '--no-microphone']).ended).out).not.toContain('passed before the stop');
  });

  test('a selftest that was kept and left out what this run is to try is run again', async () => {
    const kept = async (...options: string[]) => {
      const { args, out, path } = sensor();
      const digest = hash('sha256', readFileSync(path));
      const oneWay = { ok: true, sound: 'file', latencyMs: { heard: 400, stored: 2, accepted: 5 } } as const;
      openProgress(out, 'post-1', digest, version, systemClock()).keep({ doctor: [], selftest: oneWay });
      const { selftest } = JSON.parse((await run([...args, ...options, '--json']).ended).out) as Report;
      return selftest.trace === undefined;
    };
    expect(await kept('--no-microphone', '--one-way')).toBe(true);
    expect(await kept('--no-microphone')).toBe(false);
  });

  test('a configuration that is changed during the run leaves no report, whose stages would be of two', async () => {
    const { args, out, path } = sensor();
    const running = run([...args, '--no-microphone']);
    await running.said('2. ');
    writeFileSync(path, `${readFileSync(path, 'utf8')}log:\n  level: warn\n`);
    const { status, err } = await running.ended;
    expect(err).toMatch(/^Error: Expected .*tocsin.yaml to stay as it was during the run, got another configuration\nTry: .*tocsin commission -c /);
    expect(status).toBe(1);
    expect(readdirSync(out)).toEqual(['commission-post-1.partial.json']);
  });

  const failures: [name: string, change: (s: ReturnType<typeof sensor>) => string[], status: number, error: RegExp][] = [
    ['a missing key', (s) => keyed(s, { keyFile: join(folder, 'nowhere.key') }), 10, /Expected the private key of this sensor/],
    ['an invalid key', (s) => keyed(s, { keyFile: s.path }), 10, /Expected the private key of this sensor/],
    ['the certificate of another key', (s) => keyed(s, { certFile: authority?.issue('other', 10).cert }), 10, /Expected the certificate of this sensor's key/],
    ['a key that openssl dgst cannot check', (s) => keyed(s, { keyFile: ed25519() }), 10, /Expected an EC or RSA key/],
    ['a missing output folder', (s) => [...s.args.slice(0, 2), '--out', join(folder, 'nowhere')], 2, /Expected to write into/],
    ['two sound sources', (s) => [...s.args, '--speaker', 'default', '--no-microphone'], 2, /cannot be used together/],
  ];
  function keyed(s: ReturnType<typeof sensor>, change: object): string[] {
    writeFileSync(s.path, stringify({ site: 'test', sensor: 'post-1', mqtt: { ...mqtt, ...change } }));
    return s.args;
  }
  function ed25519(): string {
    const path = join(folder, 'ed25519.key');
    openssl(folder, 'genpkey', '-algorithm', 'ed25519', '-out', path);
    return path;
  }
  test.each(failures)('%s is reported before anything is done', async (_name, change, status, error) => {
    const it = sensor();
    const done = await run(change(it)).ended;
    expect(done.status).toBe(status);
    expect(done.err).toMatch(error);
    expect(done.err).toMatch(/\nTry: \S/);
    expect(done.out).toBe('');
    expect(readdirSync(it.out)).toEqual([]);
  });

  // A fake systemctl that keeps the state in a file. The package's tests show that a real systemd starts the real
  // unit.
  function systemd({ stopping = '', started = '' } = {}) {
    const bin = mkdtempSync(join(folder, 'bin-'));
    const [state, log] = [join(bin, 'state'), join(bin, 'log')];
    const script = `#!/bin/sh\ncase "$1" in is-active) exec grep -q active ${state} ;; stop) ${stopping}\necho down >${state}; echo stop >>${log} ;; start) ${started}\necho active >${state}; echo start >>${log} ;; *) exit 1 ;; esac\n`;
    writeFileSync(join(bin, 'systemctl'), script);
    chmodSync(join(bin, 'systemctl'), 0o755);
    writeFileSync(state, 'active\n');
    return { state, log, env: { ...process.env, PATH: `${bin}:${process.env.PATH}` } };
  }

  type Run = ReturnType<typeof run>['child'];
  test.each([
    ['stopped by hand', (it: Run): unknown => process.kill(-(it.pid as number), 'SIGINT'), 130], // the terminal tells all that it runs
    ['with its terminal closed', (it: Run): unknown => process.kill(-(it.pid as number), 'SIGHUP'), null],
    ['with its output closed', (it: Run) => it.stdout.destroy(), 141],
    ['killed', (it: Run) => it.kill('SIGKILL'), null],
  ] as const)('a running listener is stopped for the sound and started again, also when commission is %s', async (_name, end, status) => {
    const { state, log, env } = systemd();
    const { args } = sensor();
    const it = run([...args, '--seconds', '60'], env);
    await it.said('is stopped for this, to free the microphone');
    end(it.child);
    expect((await it.ended).status).toBe(status);
    await vi.waitFor(() => expect(readFileSync(log, 'utf8')).toBe('stop\nstart\n'), 20_000);
    expect(readFileSync(state, 'utf8')).toBe('active\n');
  });

  test('a Ctrl-C that also reaches systemctl while it stops the listener is a stop by hand', async () => {
    const { log, env } = systemd({ stopping: 'kill -INT $$' });
    const { status, err } = await run([...sensor().args, '--seconds', '60'], env).ended;
    expect(status, err).toBe(130);
    expect(err).toMatch(/^Error: stopped by hand; no report was written/);
    await vi.waitFor(() => expect(readFileSync(log, 'utf8')).toBe('start\n'), 20_000);
  });

  test('a listener that cannot be started again after a stop by hand gives an error with a hint', async () => {
    const { env } = systemd({ started: 'exit 5' });
    const { args } = sensor();
    const it = run([...args, '--seconds', '60'], env);
    await it.said('is stopped for this, to free the microphone');
    it.child.kill('SIGINT');
    const { status, err } = await it.ended;
    expect({ status, err: err.replace(/\s+/g, ' ').trim() }).toEqual({
      status: 1,
      err: 'Error: Expected systemctl start tocsin-listener.service to succeed, got: exit 5 Try: sudo systemctl start tocsin-listener.service',
    });
  });

  test.each(['listening', 'deaf'] as const)('the result for a listener that reports that it is %s after its restart', async (told) => {
    const { args, path, out: reports } = sensor();
    const outbox = join(path, '..', 'outbox.db');
    openSqliteOutbox(outbox, limits).close();
    const tell = join(path, '..', 'tell.ts');
    const from = (file: string) => JSON.stringify(resolve(file));
    writeFileSync(
      tell,
      `import { openSqliteOutbox } from ${from('agent/outbox/sqlite-outbox.ts')};
import { systemClock } from ${from('agent/lib/clock.ts')};
import { hearingRecord, limits } from ${from('test/support/samples.ts')};
const { bootId, monotonicMs } = systemClock();
openSqliteOutbox('${outbox}', limits).writeHearing(hearingRecord({ bootId, writtenMonotonicMs: monotonicMs(), state: '${told}' }));\n`,
    );
    const { env } = systemd({ started: `'${process.execPath}' '${tell}' || exit 1` });
    const { status, out } = await run([...args, '--seconds', '60'], env).ended;
    expect({ status, hears: /the listener hears again/.test(out) }, out).toEqual(told === 'deaf' ? { status: 8, hears: false } : { status: 9, hears: true });
    const [name = ''] = readdirSync(reports);
    // a file was heard, although a person was asked to make a sound
    expect((JSON.parse(readFileSync(join(reports, name, 'report.json'), 'utf8')) as Report).selftest.sound).toBe('file');
    if (told === 'deaf') expect(out.replace(/\s+/g, ' ')).toContain('the chain broke at the microphone: the listener was started again but has not reported');
  });
});
