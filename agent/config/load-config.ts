import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, isDenied, isUnreadable, messageOf, unreadableHint } from '../lib/errors.ts';
import { readNamedFile } from '../lib/regular-file.ts';
import { shellWord } from '../lib/shell-word.ts';
import { isUtf16, utf16Refusal } from '../lib/utf16.ts';
import { brokerAddress } from './broker-url.ts';
import { isPasted, problemList, problemsOf, show } from './problems.ts';
import { readYaml } from './read-yaml.ts';
import { type Config, configSchema } from './schema.ts';

/** The folder that holds package.json. */
export const installation = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');

export const bundledModel = join(installation, 'models/street');

const mostBytes = 65_536; // ten times what anybody writes; of a log of 18 MB the parser would read for ever, and no Ctrl-C ends it

/** Reads and checks a YAML configuration file. Throws one ConfigError for all problems. */
export function loadConfig(path: string): Config {
  let bytes: Buffer;
  try {
    bytes = readNamedFile(path, mostBytes);
  } catch (cause) {
    throw new ConfigError(
      `Expected a configuration file at ${path}, got: ${messageOf(cause)}`,
      isDenied(cause)
        ? `run it again with sudo; if a service reports this: sudo chgrp tocsin ${shellWord(path)}; sudo chmod 640 ${shellWord(path)}`
        : isUnreadable(cause)
          ? unreadableHint
          : existsSync(`${path}.txt`)
            ? `Windows called it .txt: sudo mv ${shellWord(`${path}.txt`)} ${shellWord(path)}`
            : 'tocsin config example > tocsin.yaml, edit it, and name it with --config',
      { cause },
    );
  }
  if (isUtf16(bytes)) throw new ConfigError(...utf16Refusal(path));
  const value = readYaml(bytes.toString('utf8'), path);
  // bytes that are no UTF-8 were read as this character; in a comment it does no harm
  if (JSON.stringify(value)?.includes('\ufffd'))
    throw new ConfigError(
      `Expected text in UTF-8 in ${path}, got other bytes`,
      'if it is the right file, save it as UTF-8, or here: iconv -f windows-1252 -t utf-8 FILE > NEW-FILE',
    );
  return checkConfig(value, path);
}

/**
 * Returns the `outbox` part of a file whose other parts may be invalid; undefined if it cannot be read or is itself
 * invalid.
 */
export function loadOutboxPart(path: string): Config['outbox'] | undefined {
  try {
    const outbox = configSchema.shape.outbox.parse(
      (readYaml(readNamedFile(path, mostBytes).toString('utf8'), path) as { outbox?: unknown } | null)?.outbox ?? undefined,
    );
    return { ...outbox, path: behindLinks(outbox.path) };
  } catch {
    return undefined;
  }
}

/**
 * Checks a parsed configuration. Relative model paths start at the installation, all others at the working directory.
 */
export function checkConfig(written: unknown, path: string): Config {
  const value = withoutEmptyGroups(written);
  const result = configSchema.safeParse(value ?? {});
  const problems = result.success ? crossChecks(result.data) : result.error.issues.flatMap((issue) => problemsOf(issue, value));
  if (!result.success || problems.length > 0)
    throw new ConfigError(
      problemList(path, problems),
      problems.some(isPasted)
        ? 'type blanks, quotes and hyphens anew: some of them came from a document'
        : 'tocsin config example shows every key with its default',
      { problems },
    );
  const config = result.data;
  if (!isAbsolute(config.model.path)) config.model.path = join(installation, config.model.path);
  config.outbox.path = behindLinks(config.outbox.path);
  return config;
}

/** In YAML a group is null if each of its keys is a comment: it is left out like the keys. */
function withoutEmptyGroups(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, group]) => [key, group ?? undefined]));
}

const mostLinks = 40;

/**
 * Where a file really is, or will be made. SQLite follows links and keeps the log beside the file itself: whoever
 * looked for it beside the link would take it for lost.
 */
function behindLinks(path: string): string {
  let place = path;
  try {
    for (let links = 0; links < mostLinks && lstatSync(place).isSymbolicLink(); links++) place = resolve(dirname(place), readlinkSync(place));
  } catch {
    // it is not made yet; or who opens it tells why it cannot be looked at
  }
  return place;
}

export const serviceConfig = '/etc/tocsin/tocsin.yaml';
export const serviceMeterSocket = '/run/tocsin/meter.sock';

/**
 * Where the listener of this configuration has its meter socket. That of the service is in a folder that the courier
 * cannot see.
 */
export function meterSocketPath({ meter, outbox }: Pick<Config, 'meter' | 'outbox'>): string {
  const folder = dirname(resolve(outbox.path));
  return meter.socket ?? (folder === '/var/lib/tocsin' ? serviceMeterSocket : join(folder, 'meter.sock'));
}

function crossChecks(config: Config): string[] {
  const problems: string[] = [];
  const { microphone, mqtt } = config;
  if (microphone.adapter === 'file' && !microphone.file)
    problems.push('microphone.file: expected the path of an audio file for the adapter "file", got nothing');
  if ((mqtt.certFile === undefined) !== (mqtt.keyFile === undefined))
    problems.push(`mqtt.${mqtt.keyFile === undefined ? 'keyFile' : 'certFile'}: expected certFile and keyFile together, got nothing`);
  const { encrypted, loopback } = brokerAddress(mqtt.url);
  if (!encrypted && !loopback && !mqtt.allowPlaintext)
    problems.push(
      `mqtt.url: expected mqtts:// or wss://, because the broker is not on this machine (mqtt.allowPlaintext: true lets anyone in between read and forge events), got ${show(mqtt.url)}`,
    );
  // otherwise the MQTT client would speak TLS to a plain-text port, without an error
  if (mqtt.certFile !== undefined && !encrypted) problems.push(`mqtt.url: expected mqtts:// or wss:// together with certFile, got ${show(mqtt.url)}`);
  if (mqtt.passwordFile && !mqtt.username) problems.push('mqtt.username: expected a user name together with passwordFile, got nothing');
  return problems;
}
