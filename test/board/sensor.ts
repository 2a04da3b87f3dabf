// A sensor with a USB microphone on a whole emulated board: the drivers of the kernel, a disk whose power is cut, and a
// clock that begins in 1970. npm run board [-- --cuts N] [-- --accelerator kvm]. Takes ten minutes of a machine that
// does nothing else: where it is busy, the emulated board loses sound. Needs root.
import { copyFileSync, cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { type Broker, freePort, openMosquitto } from '../support/broker.ts';
import { openMessages } from '../support/messages.ts';
import { modelFolder } from '../support/model-folder.ts';
import { oneFolderForThisCommand } from '../support/one-temporary-folder.ts';
import { buildPackage } from '../support/package.ts';
import { openReport, until } from '../support/report.ts';
import { host, openBoard } from './board.ts';
import { openUsbMicrophone, type UsbMicrophone } from './usb-microphone.ts';

const { values } = parseArgs({ options: { cuts: { type: 'string', default: '3' }, accelerator: { type: 'string', default: 'tcg' } } });
const { say, check, end } = openReport();
oneFolderForThisCommand();
const share = mkdtempSync(join(tmpdir(), 'tocsin-share-'));
const [port, brokerFolder] = [await freePort(), mkdtempSync(join(tmpdir(), 'tocsin-broker-'))];
const name = 'usb:1-1,1209:0001';
// the bundled model takes some five seconds for a second of sound where every instruction is emulated
const tagger = { windowSamples: 15_360, hopSamples: 7680, sampleRate: 16_000, waveformInput: 'audio', waveformShape: [15_360], scoresOutput: 'tags' };
const classes = Array.from({ length: 521 }, (_, i) => `class ${i}`);
const labels = { glass_break: { classes: ['class 0'] }, shout: { classes: ['class 500'] }, bang: { classes: ['class 520'] } };
cpSync(modelFolder(readFileSync('test/fixtures/tagger/tagger.onnx'), { ...tagger, classes, labels }), join(share, 'model'), { recursive: true });
const config = { site: 'old-port', sensor: 'lamp-post-12', microphone: { device: name }, model: { path: '/srv/model' }, health: { intervalSeconds: 5 } };
writeFileSync(join(share, 'tocsin.yaml'), stringify({ ...config, mqtt: { url: `mqtt://${host}:${port}`, allowPlaintext: true } }));
copyFileSync(buildPackage('amd64'), join(share, 'tocsin.deb'));

let sounding = false;
const [rate, toneSeconds, everySeconds] = [48_000, 1.5, 4];
const isTone = (sample: number) => sounding && sample % (everySeconds * rate) < toneSeconds * rate;
const street = (sample: number) => (isTone(sample) ? 0.95 * Math.sin((2 * Math.PI * 1000 * sample) / rate) : 0) + (Math.random() - 0.5) * 0.002;
const named = await openUsbMicrophone({ vendor: 0x1209, product: 1, name: 'USB PnP Sound Device' }, street);
const another = await openUsbMicrophone({ vendor: 0x1209, product: 2, name: 'Another Microphone' }, street);

const board = openBoard(share, values.accelerator);
/** Plugs a microphone into the first free port. */
const plug = (microphone: UsbMicrophone) => board.run(`usbip --tcp-port ${microphone.port} attach -r ${host} -b 1-1`);

let broker: Broker | undefined;
let platform: Awaited<ReturnType<typeof openMessages>> | undefined;
const received: { topic: string; text: string }[] = [];
async function openPlatform(): Promise<void> {
  broker = await openMosquitto(brokerFolder, port);
  platform = await openMessages(broker.url);
}
async function closePlatform(): Promise<void> {
  received.push(...(platform?.messages ?? []));
  await platform?.close();
  await broker?.close();
  [platform, broker] = [undefined, undefined];
}
const all = (topic: string) =>
  [...received, ...(platform?.messages ?? [])].filter((message) => message.topic.endsWith(`/${topic}`)).map(({ text }) => JSON.parse(text));
const hearing = () => all('health').at(-1)?.hearing ?? {};
const hears = () => hearing().state === 'listening' && hearing().fault === 'none' && hearing().reportedSecondsAgo < 10;

const outbox = async () => JSON.parse(await board.run('tocsin outbox --json'));
const gone = ['unplugged', 'absent']; // the first within a second or two, then the second
/** Does something to the microphone; returns the fault that the platform is told first. */
async function faultAfter(what: string, act: () => unknown): Promise<string> {
  const [before, began] = [all('health').length, performance.now()];
  const told = () =>
    all('health')
      .slice(before)
      .find((message) => message.hearing.fault !== 'none');
  await act();
  await until(`a fault after ${what}`, () => told() !== undefined, 60);
  say(`     ${what}: told after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return told().hearing.fault;
}
async function heardAgain(what: string, act: () => unknown): Promise<void> {
  const began = performance.now();
  await act();
  await until(`sound after ${what}`, hears, 120);
  say(`ok   ${what}: heard again after ${((performance.now() - began) / 1000).toFixed(1)} s`);
}
async function events(more: number): Promise<void> {
  const before = all('event').length;
  sounding = true;
  await until(`${more} events`, () => all('event').length >= before + more, 300);
  sounding = false;
}

try {
  await openPlatform();
  await board.boot();
  await plug(named);
  await board.run('apt-get install -y --no-install-recommends /mnt/tocsin.deb', 600_000);
  check('its name is that of the port', (await board.run('tocsin devices')).split('\n')[0], `${name}  (suits best)`);
  await board.run('cp -r /mnt/model /srv/ && install -m 640 -g tocsin /mnt/tocsin.yaml /etc/tocsin/ && systemctl start tocsin.target');
  await until('a sensor that hears', hears, 300);
  await events(1);
  say('ok   an event is at the platform');
  const { status, said } = await board.attempt('tocsin privacy verify --json 2>/tmp/said || { code=$?; cat /tmp/said >&2; exit $code; }');
  if (!said.startsWith('{')) throw new Error(`privacy verify ended with ${status}: ${said}`);
  const { passed, unchecked, checks } = JSON.parse(said.slice(0, said.lastIndexOf('}') + 1));
  const failures = (checks as { part: string; check: string; state: string; found: string }[]).filter(({ state }) => state === 'fail');
  check(
    `privacy verify: ${passed} passed, ${unchecked} unchecked`,
    failures.map(({ part, check: id, found }) => `${part} ${id}: ${found}`),
    [],
  );
  check('it is gone', gone.includes(await faultAfter('unplugged', () => named.unplug())), true);
  await board.run('modprobe snd-dummy');
  await heardAgain('back, as another card', () => plug(named));
  check('its number is now', await board.run("sed -n 's/^ *\\([0-9]*\\) .*USB PnP.*/\\1/p' /proc/asound/cards | head -1"), '1');

  check('it is gone again', gone.includes(await faultAfter('unplugged', () => named.unplug())), true);
  await plug(another);
  await delay(30_000);
  check('another microphone in its place is not heard', [hears(), hearing().state], [false, 'deaf']);
  say(`     told: ${hearing().fault}`);
  await plug(named);
  await delay(30_000);
  check('nor the right one at another port', [hears(), hearing().fault], [false, 'wrong_device']);
  another.unplug();
  named.unplug();
  await heardAgain('back at its port', () => plug(named));

  for (const [fault, change, back] of [
    ['stuck', { streaming: false }, { streaming: true }],
    ['zeros', { zeros: true }, { zeros: false }],
    ['slow', { speed: 0.95 }, { speed: 1 }],
    ['fast', { speed: 1.05 }, { speed: 1 }],
  ] as const) {
    check(fault, await faultAfter(fault, () => Object.assign(named, change)), fault);
    await heardAgain(`after ${fault}`, () => Object.assign(named, back));
  }

  for (let i = 1; i <= Number(values.cuts); i++) {
    await events(1);
    if (i % 2 === 0) await closePlatform(); // events wait
    sounding = true;
    await delay(12_000);
    const { stored } = await outbox();
    await delay(Math.random() * everySeconds * 1000);
    await board.cut();
    sounding = false;
    await board.boot();
    check(`power cut ${i}: none of ${stored} events is gone`, (await outbox()).stored >= stored, true);
    if (platform === undefined) await openPlatform();
    await plug(named);
    await until('a sensor that hears', hears, 300);
    say(`ok   power cut ${i}: it hears again by itself`);
  }
  await events(1);

  await closePlatform();
  await board.run('rm -f /var/lib/systemd/timesync/clock && sync');
  await board.cut();
  await board.boot('1970-01-01T00:00:00');
  say(`     its clock: ${await board.run('date -u +%F')}`);
  await plug(named);
  const { stored } = await outbox();
  const [boot, heardMs] = [await board.run('cat /proc/sys/kernel/random/boot_id'), Date.now()];
  sounding = true;
  while ((await outbox()).stored === stored) await delay(1000);
  sounding = false;
  await board.run(`date -s @${Date.now() / 1000} && install -d /run/systemd/timesync && touch /run/systemd/timesync/synchronized`);
  await openPlatform();
  const ofThisBoot = () => all('event').find(({ data }) => data.bootId === boot);
  await until('the event of 1970', () => ofThisBoot() !== undefined, 300);
  const { time, data } = ofThisBoot();
  const late = (Date.parse(time) - heardMs) / 1000;
  check(`its event is placed ${late.toFixed(1)} s after its sound was switched on`, [data.clock, late > 0 && late < 60], ['corrected', true]);

  await until('an empty outbox', () => all('health').at(-1)?.outbox.pending === 0, 300);
  const ids = [...new Set(all('event').map(({ id }) => id as string))];
  const numbers = ids.map((id) => Number(/\d+$/.exec(id)?.[0])).toSorted((a, b) => a - b);
  check(
    `of the ${ids.length} events none is missing`,
    numbers,
    Array.from(numbers, (_, i) => i + 1),
  );
  check('one outbox, whole', [new Set(ids.map((id) => id.split('-')[0])).size, all('health').at(-1)?.outbox.faults], [1, []]);
  end();
} finally {
  await board.close();
  await Promise.all([named.close(), another.close()]);
  await closePlatform();
}
