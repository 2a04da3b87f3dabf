import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Command, Option } from 'commander';
import { openAudioFile } from '../audio/audio-file.ts';
import type { AudioSource } from '../audio/frame.ts';
import { microphoneOpener } from '../audio/microphone.ts';
import { openOnnxClassifier } from '../classify/onnx-classifier.ts';
import { loadConfig } from '../config/load-config.ts';
import type { Config } from '../config/schema.ts';
import { readCredentials } from '../config/secrets.ts';
import { type MqttProbe, openMqttProbe } from '../delivery/mqtt-publisher.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import { exitCodes, TocsinError } from '../lib/errors.ts';
import { print, printJson, type Screen, screenOf, wrap } from './output.ts';
import { addCommand, configOption } from './program.ts';
import { at, BrokenChain, type Link, recognise, send, store } from './selftest/chain.ts';
import { type Text, type Translate, text, translateError } from './translate.ts';

interface Options {
  config: string;
  json?: true;
  speaker?: string | true;
  ask?: true;
  oneWay?: true;
  seconds: string;
}

const sound = fileURLToPath(new URL('../../deploy/selftest.wav', import.meta.url));
const exits: Record<Link, number> = {
  microphone: exitCodes.audio,
  model: exitCodes.model,
  outbox: exitCodes.outbox,
  broker: exitCodes.broker,
  acl: exitCodes.broker,
};
type Step = 'sound' | 'heard' | 'stored' | 'accepted' | 'returned';

/** selftest: a test sound goes in, and its event comes back from the broker; or the place where the chain broke. */
export function addSelftest(program: Command, signal: AbortSignal, t: Translate): void {
  addCommand(program, 'selftest', 'sound in, event back from the broker; says where the chain breaks', [
    'sudo tocsin selftest',
    'sudo tocsin selftest --speaker',
    'sudo tocsin selftest --ask --seconds 60',
  ])
    .addOption(configOption())
    .option('--speaker [device]', 'play the test sound through aplay and hear it with the microphone')
    .addOption(new Option('--ask', 'ask for a sound and hear it with the microphone').conflicts('speaker'))
    .option('--one-way', 'do not wait for the event to come back')
    .option('--seconds <count>', 'how long to wait for a sound', '30')
    .option('--json', 'one JSON object: ok, brokeAt, reason, try, label, latencyMs')
    .action((options: Options) => selftest(options, signal, t));
}

async function selftest(options: Options, signal: AbortSignal, t: Translate): Promise<void> {
  const config = loadConfig(options.config);
  const clock = systemClock();
  const screen = screenOf(process.stdout);
  const latencyMs: Partial<Record<Exclude<Step, 'sound'>, number>> = {};
  const done = (step: Step, what: Text, ms?: number) => {
    if (step !== 'sound' && ms !== undefined) latencyMs[step] = Math.round(ms * 10) / 10;
    if (!options.json) print(showStep(step, what, ms, t, screen));
  };
  if (!options.json) print(`${screen.colours.bold(wrap(t('selftest.title'), screen.columns))}\n`);
  try {
    const event = await hearAndStore(config, options, clock, signal, done);
    // opened only now: a link that idles through a long wait for a sound would be another test
    const link = await at('broker', () => openLink(config));
    try {
      const { acceptedMs, returnedMs, topic } = await send(link, event, config, clock, options.oneWay ?? false);
      done('accepted', text('selftest.accepted.ok', { broker: config.mqtt.url }), acceptedMs);
      done('returned', returnedMs === undefined ? text('selftest.returned.oneWay') : text('selftest.returned.ok', { topic }), returnedMs);
    } finally {
      await link.close();
    }
    const ms = Math.round((latencyMs.heard ?? 0) + (latencyMs.stored ?? 0) + (latencyMs.returned ?? latencyMs.accepted ?? 0));
    if (options.json) printJson({ ok: true, label: event.data.label, confidence: event.data.confidence, latencyMs });
    else print(`\n${screen.colours.green(wrap(t('selftest.whole', { ms }), screen.columns))}`);
  } catch (error) {
    if (!(error instanceof BrokenChain)) throw error;
    const say = (said: Text | string) => (typeof said === 'string' ? translateError(said, t.language) : t.of(said));
    if (options.json) printJson({ ok: false, brokeAt: error.link, reason: say(error.reason), try: say(error.hint), latencyMs });
    throw new TocsinError(t('selftest.broke', { link: t(`selftest.link.${error.link}`), reason: say(error.reason) }), say(error.hint), exits[error.link]);
  }
}

async function hearAndStore(config: Config, options: Options, clock: Clock, signal: AbortSignal, done: (step: Step, what: Text, ms?: number) => void) {
  const classifier = await at('model', () => openOnnxClassifier(config.model.path));
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const seconds = Math.max(1, Number(options.seconds) || 30);
  const timer = setTimeout(() => over.abort(), seconds * 1000);
  try {
    const { source, what } = await at('microphone', () => openSound(config, options, seconds, clock, until));
    done('sound', what);
    const recognised = await recognise(source, classifier, config, clock, until);
    const { detection, levels } = recognised.heard;
    const level = Math.round(levels.aboveBackgroundDb);
    done('heard', text('selftest.heard.ok', { label: text(`label.${detection.label}`), confidence: detection.confidence.toFixed(2), level }), recognised.ms);
    const { event, ms } = store(recognised, classifier.manifest, config, clock);
    done('stored', text('selftest.stored.ok'), ms);
    return event;
  } finally {
    clearTimeout(timer);
    over.abort();
    await classifier.close();
  }
}

async function openSound(config: Config, options: Options, seconds: number, clock: Clock, until: AbortSignal): Promise<{ source: AudioSource; what: Text }> {
  if (!options.speaker && !options.ask) {
    const source = await openAudioFile(sound, config.microphone.sampleRateHz, 'realtime');
    return { source, what: text('selftest.sound.file', { seconds: source.seconds }) };
  }
  // silence before the sound is no fault here: the wait itself has an end
  const source = await microphoneOpener({ ...config.microphone, silenceTimeoutSeconds: seconds + 5 }, clock)();
  if (options.ask) return { source, what: text('selftest.sound.ask', { seconds }) };
  const device = options.speaker === true ? 'default' : (options.speaker as string);
  return { source: playing(source, device, until), what: text('selftest.sound.speaker', { device, microphone: config.microphone.device }) };
}

/** Plays the test sound over and over from the first frame that is heard until the source is left. */
function playing(source: AudioSource, device: string, until: AbortSignal): AudioSource {
  return {
    ...source,
    async *frames(stop) {
      const silence = new AbortController();
      let started = false;
      const play = (): void => {
        if (silence.signal.aborted || until.aborted) return;
        const player = spawn('aplay', ['-q', '-D', device, sound], { stdio: 'ignore', signal: silence.signal });
        player.on('error', () => undefined); // no player, no sound: the chain says that nothing came in
        player.on('close', (code) => code === 0 && play());
      };
      try {
        for await (const frame of source.frames(stop)) {
          if (!started) play();
          started = true;
          yield frame;
        }
      } finally {
        silence.abort();
      }
    },
  };
}

function openLink(config: Config): Promise<MqttProbe> {
  const { mqtt, site, sensor } = config;
  return openMqttProbe(mqtt, readCredentials(mqtt), `tocsin-${site}-${sensor}-selftest`, mqtt.ackTimeoutSeconds * 1000);
}

function showStep(step: Step, what: Text, ms: number | undefined, t: Translate, { columns, colours }: Screen): string {
  const time = ms === undefined ? '' : ` (${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms)`;
  return `${colours.green('ok')}  ${t(`selftest.step.${step}`).padEnd(10)}${wrap(t.of(what) + time, columns, 14)}`;
}
