import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { loadConfig } from '../config/load-config.ts';
import { printableLine } from '../config/problems.ts';
import { systemClock } from '../lib/clock.ts';
import { exitCodes, isDenied, messageOf, TocsinError } from '../lib/errors.ts';
import { unlessStopped } from '../lib/stop.ts';
import { addCommand, configOption, namedFile, version } from './command.ts';
import { checkPage, print, printJson, printWrapped, reportError, type Screen, screenOf, wrap, writePage } from './output.ts';
import type { Line } from './privacy/check.ts';
import { findMachine } from './privacy/machine.ts';
import { manifestText, privacyManifest } from './privacy/manifest.ts';
import { listPackage } from './privacy/package-list.ts';
import { writeVerification } from './privacy/record.ts';
import { reportOf, type VerificationReport, verificationOf } from './privacy/report.ts';
import { reportPage } from './privacy/report-page.ts';
import { verifyRunning } from './privacy/verify.ts';
import type { Translate } from './translate.ts';

interface VerifyOptions {
  config: string;
  listenerPid?: number;
  courierPid?: number;
  manifest?: string;
  packageList?: string;
  packageDigest?: string;
  report?: string;
  record: boolean;
  json?: true;
}

/** privacy: what this sensor may publish, and whether it can do no more than that. */
export function addPrivacy(program: Command, signal: AbortSignal, t: Translate): void {
  const privacy = addCommand(program, 'privacy', 'what this sensor may publish, and whether it can do no more than that', [
    'sudo tocsin privacy verify --report report.html',
    'tocsin privacy manifest > privacy-manifest.json',
  ]);
  addCommand(privacy, 'verify', 'check on the running sensor that what hears cannot speak and what speaks cannot hear', [
    'sudo tocsin privacy verify',
    'sudo tocsin privacy verify --report report.html --json',
    'sudo tocsin privacy verify --package-list release.sha256',
  ])
    .addOption(configOption())
    .option('--listener-pid <pid>', 'process id of `tocsin listen`, if systemd does not run it', pid)
    .option('--courier-pid <pid>', 'process id of `tocsin deliver`, if systemd does not run it', pid)
    .option('--manifest <file>', 'manifest that the operator has published (default: /etc/tocsin/privacy-manifest.json)', namedFile)
    .option('--package-list <file>', "the release's list of files, instead of the installed one", namedFile)
    .option('--package-digest <hex>', 'sha256 of that list, as published with the release', sha256)
    .option('--report <file>', 'an HTML page in French and English for the data-protection officer', namedFile)
    .option('--no-record', 'do not hand the outcome to the courier, which publishes it')
    .option(
      '--json',
      'one JSON object: site, sensor, version, bootId, time, state, passed, failed, unchecked, checks: [{check, part, state, finding, what, how, found, byHand}], digest',
    )
    .action((options: VerifyOptions) => runVerify(options, signal, t));
  addCommand(privacy, 'manifest', 'print what this sensor may publish with its settings', ['tocsin privacy manifest | sha256sum'])
    .addOption(configOption())
    .action(({ config }: { config: string }) => void process.stdout.write(manifestText(privacyManifest(loadConfig(config)))));
  addCommand(privacy, 'list', 'list the files of an installation as sha256sum does, for tocsin.sha256', ['tocsin privacy list /opt/tocsin > tocsin.sha256'])
    .argument('<folder>', 'installation', namedFile)
    .action((folder: string) => void process.stdout.write(listOf(folder)));
}

/** The list of an installation's files. Throws a TocsinError for a folder that holds none. */
function listOf(folder: string): string {
  const isFolder = existsSync(`${folder}/.`);
  const missing = ['agent', 'package.json'].find((name) => isFolder && !existsSync(join(folder, name)));
  if (missing !== undefined)
    throw new TocsinError(
      `Expected an installation in ${folder}, got a folder without ${missing}`,
      'name the folder that holds agent/ and package.json',
      exitCodes.usage,
    );
  try {
    return listPackage(folder);
  } catch (cause) {
    throw new TocsinError(
      `Expected an installation in ${folder}, got: ${messageOf(cause)}`,
      isDenied(cause) ? 'run it again with sudo' : 'name the folder that holds agent/ and package.json',
      exitCodes.usage,
      { cause },
    );
  }
}

async function runVerify(options: VerifyOptions, signal: AbortSignal, t: Translate): Promise<void> {
  if (options.report !== undefined) checkPage(options.report);
  const clock = systemClock();
  const { config: configPath, manifest: publishedManifest, packageList, packageDigest, listenerPid: listener, courierPid: courier } = options;
  const find = () => findMachine({ configPath, publishedManifest, packageList, packageDigest, pids: { listener, courier } });
  const { machine, lines } = await unlessStopped(signal, verifyRunning(find));
  const { site, sensor, privacy } = machine.config;
  const occasion = { site, sensor, version, bootId: clock.bootId, time: new Date(clock.wallMs()).toISOString() };
  const report = reportOf(lines, occasion, t);
  // first: the courier is to publish this outcome also where the page cannot be written
  const unrecorded = options.record ? whyNot(() => writeVerification(privacy.recordPath, verificationOf(report))) : undefined;
  if (options.json) printJson(report);
  else show(lines, report, t);
  if (unrecorded !== undefined)
    printWrapped(t('privacy.unrecorded', { path: privacy.recordPath, reason: unrecorded }), options.json ? process.stderr : process.stdout);
  const { failed, unchecked, passed } = report;
  try {
    if (options.report !== undefined) writePage(options.report, reportPage(lines, report));
  } catch (error) {
    if (failed === 0) throw error;
    reportError(error, t.language); // a failed check says more, and has the exit code
  }
  if (failed > 0) throw new TocsinError(t('privacy.failed', { failed, all: lines.length }), t('privacy.failed.try'), exitCodes.check);
  if (unchecked > 0) throw new TocsinError(t('privacy.incomplete', { unchecked, passed }), t('privacy.incomplete.try'), exitCodes.unchecked);
}

/** Why something could not be done; nothing where it was. */
function whyNot(work: () => void): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** For each check: what, what was found, how, and how by hand; under a heading for each part. */
function show(lines: readonly Line[], { digest, passed, failed, unchecked }: VerificationReport, t: Translate): void {
  const screen = screenOf(process.stdout);
  const { colours, columns } = screen;
  for (const part of ['sensor', 'listener', 'courier'] as const) {
    print(`\n${colours.bold(t(`privacy.part.${part}`))}`);
    for (const line of lines) if (line.part === part) print(showLine(line, t, screen));
  }
  print(`\n${wrap(t('privacy.summary', { passed, failed, unchecked }), columns)}\n${wrap(t('privacy.digest', { digest }), columns)}`);
}

const stateWidth = 11;

function showLine({ state, what, how, found, byHand }: Line, t: Translate, { colours, columns }: Screen): string {
  const colour = { pass: colours.green, fail: colours.red, unchecked: colours.yellow }[state];
  const indent = ' '.repeat(stateWidth);
  const lines = [
    `${colour(t(`privacy.state.${state}`).padEnd(stateWidth))}${wrap(t.of(what), columns, stateWidth)}`,
    `${indent}${colour('→')} ${wrap(t.of(found), columns, stateWidth + 2)}`,
    `${indent}${colours.dim(wrap(t.of(how), columns, stateWidth))}`,
    `${indent}${colours.dim(`$ ${printableLine(byHand)}`)}`, // not broken: it is there to be copied
  ];
  return lines.join('\n');
}

function pid(value: string): number {
  if (!/^[1-9]\d{0,9}$/.test(value)) throw new InvalidArgumentError('expected a process id');
  return Number(value);
}

function sha256(value: string): string {
  if (!/^[0-9a-f]{64}$/i.test(value)) throw new InvalidArgumentError('expected a SHA-256: 64 hexadecimal digits');
  return value.toLowerCase();
}
