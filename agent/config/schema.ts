// Every key of the configuration file, with its default, its unit and a sentence. Unknown keys are errors.
import { resolve } from 'node:path';
import { z } from 'zod';
import { logLevels } from '../lib/logger.ts';
import { hasAddress } from './broker-url.ts';
import { namesSecret } from './secret-path.ts';

const slug = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'expected 1 to 32 of a-z, 0-9 and "-", starting with a letter or digit');
const threshold = z.number().min(0.001).max(1); // at 0 a sound would begin at once, and never end
/**
 * No file has a name with a zero in it, and MQTT takes none (1.5.4); a line break in a name is a mistake, and so is a
 * blank at its end that was pasted with it.
 */
const line = z.string().regex(/^(?!\s)\P{Cc}*(?<!\s)$/u, { error: 'expected text of one line, without control characters or blanks at its ends', abort: true });
const file = line.min(1);
/**
 * ALSA's plug-ins `tee` and `file` hand what is heard to a file or a shell command, alone or within another name. What
 * could hide them there (braces, escapes) stands in no microphone's name.
 */
const recordsNothing = (name: string) => /^(usb:|\/dev\/snd\/)/.test(name) || (/^[\w.:=,'"-]+$/.test(name) && !/(?<![\w-])(tee|file)(?![\w-])/.test(name));
/** SQLite opens no path over 504 bytes; the longest beside an outbox is PATH.listener.lock.PID. */
const leavesRoom = (path: string) => Buffer.byteLength(resolve(path)) <= 480;
const secretFile = z
  .string()
  .min(1)
  .refine(
    namesSecret,
    'expected the name of a file in /etc/tocsin/credentials (letters and digits, no folder), or an absolute path to another folder; the secret itself goes into that file',
  );

export const configSchema = z.strictObject({
  site: slug.describe('Where the sensor stands: the first level of its topics, for instance a district.'),
  sensor: slug.describe('Which sensor it is: the second level of its topics. Unique on the broker, whose access control uses it.'),

  microphone: z
    .strictObject({
      adapter: z
        .enum(['alsa', 'web-audio', 'file'])
        .default('alsa')
        .describe('How sound is captured. `alsa` runs arecord; `file` plays `file` in real time, for trials.'),
      device: line
        .min(1)
        .max(200)
        .default('default')
        .refine(
          (name) =>
            !/(?<![\w-])(plug)?(hw|dsnoop|sysdefault|default|front):\d|CARD=['"]?\d|^usb:(?!\d+-[\d.]+$|(\d+-[\d.]+,)?[0-9a-f]{4}:[0-9a-f]{4}(:.+)?$)/.test(
              name,
            ),
          {
            error: 'expected a name that survives a reboot, as `tocsin devices` lists, not a card number',
          },
        )
        .refine(recordsNothing, 'expected the name of a microphone, as `tocsin devices` lists, and no plug-in of ALSA that records (tee, file)')
        .describe(
          'Best: usb:PORT or usb:PORT,VENDOR:PRODUCT, as `tocsin devices` lists. Also possible: usb:VENDOR:PRODUCT, a path under /dev/snd/by-id or by-path, or an ALSA name; after a reboot these may mean another microphone of the same make. For web-audio: a device id. Never a card number.',
        ),
      sampleRateHz: z
        .union([z.literal(16000), z.literal(44100), z.literal(48000)])
        .default(48000)
        .describe('Rate to capture at; the agent resamples to the model itself.'),
      silenceTimeoutSeconds: z
        .number()
        .min(1)
        .max(600)
        .default(5)
        .describe(
          'No sample (10 s at most), exact zeros or no variation at all for this long is a fault: the microphone is dead, since no street is that quiet.',
        ),
      splAtFullScaleDb: z
        .number()
        .min(60)
        .max(160)
        .optional()
        .describe('dB SPL of a full-scale sine, from calibration. Without it events carry no sound pressure level.'),
      file: file.optional().describe('Audio file for the `file` adapter.'),
    })
    .prefault({}),

  model: z
    .strictObject({
      path: file.default('models/street').describe('Folder with manifest.json and the ONNX file. A relative path starts at the installation.'),
      operatingPoint: z.enum(['balanced', 'strict']).default('balanced').describe('Which thresholds of the manifest to use.'),
      open: z
        .partialRecord(z.enum(['glass_break', 'shout', 'bang']), threshold)
        .default({})
        .describe("Thresholds that replace the operating point's, by label."),
    })
    .prefault({}),

  outbox: z
    .strictObject({
      path: file
        .default('/var/lib/tocsin/outbox.db')
        .refine(leavesRoom, 'expected a path of at most 480 bytes, counted from / on: SQLite opens no longer one')
        .describe('The SQLite file between the two processes.'),
      maxMegabytes: z.number().min(1).max(4096).default(64).describe('Beyond this size the oldest events expire and are counted.'),
      maxAgeDays: z.number().min(0.01).max(366).default(30).describe('Events older than this expire undelivered and are counted.'),
      maxEventsPerMinute: z
        .number()
        .int()
        .min(1)
        .max(60)
        .default(30)
        .describe('More than this are refused and counted, so that bursts of events cannot carry a message. A sixth is kept for each label.'),
    })
    .prefault({}),

  mqtt: z.strictObject({
    url: z
      .string()
      .regex(/^(mqtts?|wss?):\/\/[^\s@]+$/, { error: 'expected mqtt://, mqtts://, ws:// or wss:// and a host, without a user name', abort: true })
      .refine(hasAddress, 'expected a valid host and port')
      .describe('The broker.'),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe('Whether mqtt:// or ws:// may leave this machine. Anyone in between can then read events and passwords, and forge events.'),
    protocol: z
      .enum(['5', '3.1.1'])
      .default('5')
      .describe(
        'MQTT version. With 3.1.1 a broker acknowledges even events that its access control refuses, and these are lost: use it only with a broker without access control.',
      ),
    username: line.min(1).max(128).optional().describe('Only where certificates are not used.'),
    passwordFile: secretFile
      .optional()
      .describe(
        'File that holds the password. A plain name, here and below, is a file in /etc/tocsin/credentials; the configuration itself never holds secrets.',
      ),
    caFile: secretFile.optional().describe('Certificate authority that signed the certificate of the broker, PEM.'),
    certFile: secretFile.optional().describe("This sensor's certificate, PEM."),
    keyFile: secretFile.optional().describe("This sensor's private key, PEM."),
    keepaliveSeconds: z
      .number()
      .int()
      .min(5)
      .max(1200)
      .default(60)
      .describe('MQTT keep alive. It must be shorter than what ends an idle connection on the way: a load balancer, or address translation.'),
    ackTimeoutSeconds: z
      .number()
      .min(1)
      .max(60)
      .default(15)
      .describe('No PUBACK within this time: reconnect and send again. Also the time for a connection, which takes some seven round trips.'),
    requireSubscriber: z
      .boolean()
      .default(true)
      .describe(
        'Whether an event is kept and tried again when the broker says that nobody subscribes to it (PUBACK 16, MQTT 5). Use `false` where something other than a subscriber takes the events, such as a rule engine.',
      ),
    maxInFlight: z.number().int().min(1).max(16).default(16).describe('Events sent and not yet acknowledged.'),
    historicalAfterSeconds: z.number().min(1).max(3600).default(60).describe('An event delivered later than this after its onset is marked historical.'),
  }),

  health: z
    .strictObject({
      intervalSeconds: z
        .number()
        .int()
        .min(5)
        .max(3600)
        .default(1200)
        .describe('How often health is published; a fault that begins or ends is published at once. Each time writes some 36 kB to the disk.'),
    })
    .prefault({}),

  privacy: z
    .strictObject({
      recordPath: file
        .default('/var/lib/tocsin-privacy/verification.json')
        .describe('Where `tocsin privacy verify` writes its outcome for the courier to publish; only root may write there.'),
    })
    .prefault({}),

  meter: z
    .strictObject({
      socket: file
        .optional()
        .describe(
          'Local socket for `tocsin meter`. By default /run/tocsin/meter.sock beside /var/lib/tocsin/outbox.db, else meter.sock beside the outbox. Two listeners need one each.',
        ),
    })
    .prefault({}),

  log: z.strictObject({ level: z.enum(logLevels).default('info').describe('What goes to stderr.') }).prefault({}),
});

export type Config = z.infer<typeof configSchema>;
