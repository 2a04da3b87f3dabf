import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import { loadConfig } from '../config/load-config.ts';
import { exitCodes, hasCode, isDenied, isFull, messageOf, ProvisionError, TocsinError } from '../lib/errors.ts';
import { shellWord } from '../lib/shell-word.ts';
import { addCommand, configOption, namedFile } from './command.ts';
import { print, printJson, printWrapped, screenOf, showFields } from './output.ts';
import { type InstalledCertificate, installCertificate } from './provision/install.ts';
import { identityPaths } from './provision/paths.ts';
import { requestCertificate } from './provision/request.ts';
import type { Translate } from './translate.ts';

interface Options {
  config: string;
  install?: string;
  ca?: string;
  renew?: true;
  discard?: true;
  json?: true;
}

/** provision: a key that is made here and stays here, its certificate request, and the certificate that comes back. */
export function addProvision(program: Command, t: Translate): void {
  addCommand(program, 'provision', "make this sensor's key and certificate request; install the certificate that comes back", [
    'sudo tocsin provision > lamp-post-12.csr',
    'sudo tocsin provision --install post-12.pem --ca ca.pem',
    'sudo tocsin provision --renew > lamp-post-12.csr',
  ])
    .addOption(configOption())
    .addOption(
      new Option('--install <file>', 'certificate of this sensor as the authority issued it, PEM, with any intermediate ones')
        .argParser(namedFile)
        .conflicts(['renew', 'discard']),
    )
    .option('--ca <file>', "the operator's certificate authority, PEM: kept as mqtt.caFile", namedFile)
    .option('--renew', 'a new key and request; the present ones stay in force until --install')
    .option('--discard', 'discard a request that waits for its certificate, and make another')
    .option(
      '--json',
      'one JSON object: sensor, request, publicKeySha256, again; with --install: sensor, issuer, validFrom, validTo, sha256, key, certificate, authority, again',
    )
    .action((options: Options) => {
      try {
        if (options.install === undefined) request(options, t);
        else install(options, options.install, t);
      } catch (error) {
        if (isOfFile(error)) throw notWritten(error);
        throw error;
      }
    });
}

/** Of the system, or of ours about a file; neither one that is told already nor a defect. */
function isOfFile(error: unknown): boolean {
  return error instanceof Error && error.constructor === Error && !hasCode(error, /^ERR_/);
}

function notWritten(cause: unknown): TocsinError {
  const what = `Expected to write the credentials, got: ${messageOf(cause)}`;
  if (isDenied(cause)) return new ProvisionError(what, 'run it again with sudo', { cause });
  if (isFull(cause)) return new TocsinError(what, 'make room there (df -h)', exitCodes.failure, { cause });
  const { path } = cause as NodeJS.ErrnoException;
  if (hasCode(cause, /^ENOENT$/) && path !== undefined)
    return new ProvisionError(what, `make the folder: sudo mkdir -m 700 -p ${shellWord(dirname(path))}`, { cause });
  return new ProvisionError(what, 'sudo tocsin doctor shows whether the disk is read-only', { cause });
}

/** The request alone goes to stdout, so that it can be sent on; what to do with it to stderr. */
function request(options: Options, t: Translate): void {
  if (options.ca !== undefined)
    throw new TocsinError('Expected --ca with --install, got --ca alone', 'sudo tocsin provision --install sensor.pem --ca ca.pem', exitCodes.usage);
  const { sensor, mqtt } = loadConfig(options.config);
  const made = requestCertificate(sensor, identityPaths(mqtt), options);
  if (options.json) {
    printJson({ sensor, ...made });
    return;
  }
  process.stdout.write(made.request);
  printWrapped(t(made.again ? 'provision.again' : 'provision.made', { sensor, digest: made.publicKeySha256.slice(0, 16) }), process.stderr);
  printWrapped(t('provision.next'), process.stderr);
}

function install(options: Options, certificate: string, t: Translate): void {
  const { sensor, mqtt } = loadConfig(options.config);
  const paths = identityPaths(mqtt);
  const installed = installCertificate(sensor, paths, { certificate, authority: options.ca }, Date.now());
  if (options.json) {
    printJson(installed);
    return;
  }
  show(installed, t);
  const unnamed = [!mqtt.certFile && 'certFile: sensor.pem', !mqtt.keyFile && 'keyFile: sensor.key', !mqtt.caFile && 'caFile: ca.pem'].filter(Boolean);
  if (unnamed.length > 0) printWrapped(t('provision.unnamed', { keys: unnamed.join(', '), path: options.config }));
  printWrapped(t('provision.restart'));
}

function show({ sensor, issuer, validTo, certificate, sha256 }: InstalledCertificate, t: Translate): void {
  const fields = [
    { name: t('provision.sensor'), value: sensor },
    { name: t('provision.issuer'), value: issuer },
    { name: t('provision.until'), value: validTo.slice(0, 10) },
    { name: t('provision.installed'), value: certificate },
    { name: 'SHA-256', value: sha256 },
  ];
  print(showFields(fields, screenOf(process.stdout)));
}
