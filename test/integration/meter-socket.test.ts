import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { readings } from '../../agent/cli/meter/connection.ts';
import { decodeReading, encodeReading, readingBytes, readingsPerSecond } from '../../agent/meter/reading.ts';
import { openMeterSocket } from '../../agent/meter/socket.ts';
import { meterReading, silentLogger } from '../support/samples.ts';

function openSocket(path = join(mkdtempSync(join(tmpdir(), 'tocsin-meter-')), 'meter.sock')) {
  const said: string[] = [];
  const watched: boolean[] = [];
  const made = { readings: 0 };
  const logger = { ...silentLogger, warn: (fields: object, message: string) => void said.push(`${message} ${JSON.stringify(fields)}`) };
  const read = () => {
    made.readings++;
    return meterReading();
  };
  const socket = openMeterSocket(path, read, (on) => void watched.push(on), logger);
  onTestFinished(() => socket.close());
  return { path, said, watched, socket, made };
}

/** Opens a client; gives what it received, and its end. */
async function openClient(path: string) {
  const client: Socket = connect({ path });
  const received: Buffer[] = [];
  client.on('data', (bytes) => received.push(bytes));
  client.on('error', () => undefined);
  const ended = new Promise<void>((resolve) => client.once('close', () => resolve()));
  onTestFinished(() => void client.destroy());
  await Promise.race([new Promise((resolve) => client.once('connect', resolve)), ended]);
  return { client, ended, bytes: () => Buffer.concat(received) };
}
const patient = { timeout: 20_000, interval: 50 };
const ready = (path: string) => vi.waitFor(() => expect(statSync(path).mode & 0o777).toBe(0o660), patient);

test('each client of the meter socket gets ten readings a second, each of 83 bytes in the fixed form', async () => {
  const { path, watched, made } = openSocket();
  await ready(path);
  expect(made.readings).toBe(0); // without a client no reading is made
  const began = performance.now();
  const [one, two] = [await openClient(path), await openClient(path)];
  await vi.waitFor(() => expect(one.bytes().length).toBeGreaterThan(15 * readingBytes), patient);
  const seconds = (performance.now() - began) / 1000;
  expect(watched).toEqual([true]);
  for (const { bytes } of [one, two]) {
    const all = bytes();
    expect(all.length).toBeLessThanOrEqual((seconds * readingsPerSecond + 1) * readingBytes);
    expect(all.length % readingBytes).toBe(0);
    for (let at = 0; at < all.length; at += readingBytes) expect(decodeReading(all.subarray(at, at + readingBytes))).toEqual(meterReading());
  }
  one.client.destroy();
  two.client.destroy();
  await vi.waitFor(() => expect(watched).toEqual([true, false]), patient);
  const then = made.readings;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(made.readings).toBe(then);
});

test('a client that sends anything is disconnected, and other clients continue', async () => {
  const { path } = openSocket();
  await ready(path);
  const [bold, quiet] = [await openClient(path), await openClient(path)];
  bold.client.write('{"request":"everything"}');
  await bold.ended;
  const then = quiet.bytes().length;
  await vi.waitFor(() => expect(quiet.bytes().length).toBeGreaterThan(then), patient);
});

test('a client that does not read is disconnected, and the listener buffers nothing for it', async () => {
  const { path, watched, made } = openSocket();
  await ready(path);
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }); // in real time the kernel's buffer lasts for half a minute
  onTestFinished(() => void vi.useRealTimers());
  const client = connect({ path, onread: { buffer: Buffer.alloc(1), callback: () => false } }); // one byte, then no more
  onTestFinished(() => void client.destroy());
  client.on('error', () => undefined);
  while (watched.length === 0) await new Promise((resolve) => setImmediate(resolve));
  for (let second = 0; second < 600 && watched.at(-1); second++) {
    vi.advanceTimersByTime(1000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(watched).toEqual([true, false]); // no client is left
  process.stdout.write(`a client that does not read is dropped after ${made.readings} readings, ${made.readings / readingsPerSecond} s\n`);
  expect(made.readings * readingBytes).toBeLessThan(500_000);
});

test('the meter socket serves four clients at once and disconnects a fifth', async () => {
  const { path } = openSocket();
  await ready(path);
  const four = await Promise.all([1, 2, 3, 4].map(() => openClient(path)));
  const fifth = await openClient(path);
  await fifth.ended;
  expect(fifth.bytes()).toHaveLength(0);
  await vi.waitFor(() => expect(four.every(({ bytes }) => bytes().length > 0)).toBe(true), patient);
});

test('too many connections close the meter socket for a while, and it comes back', async () => {
  const { path, said } = openSocket();
  await ready(path);
  for (let i = 0; i < 25; i++) (await openClient(path)).client.destroy();
  await vi.waitFor(() => expect(said.join()).toContain('is closed for a while'), patient);
  await ready(path);
  const later = await openClient(path);
  await vi.waitFor(() => expect(later.bytes().length).toBeGreaterThan(0), patient);
});

test('the socket of a killed listener is replaced; any other file at its path is left alone', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-meter-')), 'meter.sock');
  const dead = createServer();
  await new Promise<void>((resolve) => dead.listen(path, resolve));
  const { socket } = openSocket(path);
  await ready(path);
  const { bytes } = await openClient(path);
  await vi.waitFor(() => expect(bytes().length).toBeGreaterThan(0), patient);
  socket.close();
  dead.close();
  const file = join(mkdtempSync(join(tmpdir(), 'tocsin-meter-')), 'precious');
  writeFileSync(file, 'precious');
  expect(openSocket(file).said.join()).toContain('is no socket');
  expect(statSync(file).size).toBe(8);
  expect(openSocket(`/tmp/${'x'.repeat(120)}`).said.join()).toContain('longer than 107 bytes');
});

test('a folder that takes no socket is named once, and tried again until the listener ends', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const tries = vi.spyOn(Server.prototype, 'listen');
  onTestFinished(() => tries.mockRestore());
  const pass = async () => {
    for (let seconds = 0; seconds < 12; seconds++) {
      await new Promise((done) => setImmediate(done));
      await vi.advanceTimersByTimeAsync(1000);
    }
  };
  const { said, socket } = openSocket('/proc/self/meter.sock');
  await pass();
  expect(tries).toHaveBeenCalledTimes(3);
  expect(said).toEqual([expect.stringContaining('no meter socket {"reason":"listen ')]);
  socket.close();
  openSocket('/proc/self/meter.sock').socket.close(); // before it is told of its error
  await pass();
  expect(tries).toHaveBeenCalledTimes(4);
});

test('a socket that cannot be made is tried again, with each reason named once, and made when it can be', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const folder = join(mkdtempSync(join(tmpdir(), 'tocsin-meter-')), 'folder');
  const path = join(folder, 'meter.sock');
  const pass = async () => {
    for (let seconds = 0; seconds < 20; seconds++) await vi.advanceTimersByTimeAsync(1000);
  };
  writeFileSync(folder, 'in its place');
  const { said } = openSocket(path);
  await pass();
  rmSync(folder);
  mkdirSync(path, { recursive: true });
  await pass();
  expect(said).toEqual([expect.stringContaining('no meter socket {"reason":"EEXIST'), expect.stringContaining('is no socket')]);
  rmdirSync(path);
  await pass();
  const { bytes } = await openClient(path);
  await vi.waitFor(() => expect(bytes().length).toBeGreaterThan(0), patient);
  expect(said).toHaveLength(2);
  for (let i = 0; i < 25; i++) (await openClient(path)).client.destroy();
  await vi.waitFor(() => expect(said.at(-1)).toContain('is closed for a while'), patient);
  mkdirSync(path);
  await pass();
  expect(said.slice(3)).toEqual([expect.stringContaining('is no socket')]); // as before, but there was a socket meanwhile
});

test('a listener that ends does not remove the socket of the listener that replaced its own', async () => {
  const first = openSocket();
  await ready(first.path);
  const second = openSocket(first.path);
  await ready(first.path);
  first.socket.close();
  const { bytes } = await openClient(first.path);
  await vi.waitFor(() => expect(bytes().length).toBeGreaterThan(0), patient);
  expect(readdirSync(dirname(first.path))).toEqual(['meter.sock']);
  expect(first.said).toHaveLength(1);
  expect(first.said[0]).toMatch(/^another listener has taken the place of the meter socket/);
  expect(second.said).toEqual([]);
  second.socket.close();
  expect(readdirSync(dirname(first.path))).toEqual([]); // it removes its own socket
});

test('`meter` reports a listener that hangs, and does not show its last reading for ever', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-meter-')), 'meter.sock');
  const hung = createServer((client) => void client.write(encodeReading(meterReading())));
  onTestFinished(() => void hung.close());
  await new Promise<void>((resolve) => hung.listen({ path }, resolve));
  const source = readings(path, new AbortController().signal);
  expect(await source.next()).toEqual({ done: false, value: meterReading() });
  expect(await source.next()).toEqual({ done: true, value: 'silent' });
}, 30_000);
