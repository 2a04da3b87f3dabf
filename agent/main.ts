#!/usr/bin/env node
// The process edge: arguments, signals, exit codes.
import './lib/own-packages.ts';

import { reportError } from './cli/output.ts';
import { buildProgram } from './cli/program.ts';
import { configNamedBy, languageOf } from './cli/translate.ts';
import { exitCodes, hasCode, TocsinError } from './lib/errors.ts';
import { quit, waitsForResolver } from './lib/quit.ts';

delete process.env.DEBUG; // with it, packages below mqtt print every message and the password (debug)
const stop = new AbortController();
const togetherMs = 1000; // Ctrl-C reaches each half twice: from the terminal and from `tocsin run`
const graceMs = 1000; // for what else has still to end, such as a recorder
let askedMs = 0;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    if (stop.signal.aborted && performance.now() - askedMs > togetherMs) void quit(130);
    if (!stop.signal.aborted) askedMs = performance.now();
    stop.abort();
  });
process.on('SIGUSR1', () => undefined); // without a handler, Node would open a debugger's port
const language = languageOf(process.argv, process.env);
const config = configNamedBy(process.argv, process.env);
let errors: { write(text: string): unknown } = process.stderr;
if (['run', 'listen', 'deliver'].includes(process.argv[2] ?? '')) {
  // what is left to say must not keep a process of the agent from ending, nor change its exit code
  errors = (await import('./lib/journal.ts')).openJournal(2, () => undefined);
  process.on('uncaughtException', (error) => process.exit(reportError(error, language, config, errors)));
}
process.stdout.on('error', (cause) => {
  if (hasCode(cause, /^EPIPE$/)) process.exit(exitCodes.unread); // the reader has closed the pipe: as after SIGPIPE
  const unwritten = new TocsinError(`Expected to write the output, got: ${cause.message}`, 'is the disk full? df -h', exitCodes.failure, { cause });
  process.exit(reportError(unwritten, language, config, errors));
});
process.stderr.on('error', () => undefined); // its reader is gone: the exit code still says what there was to say
try {
  const program = await buildProgram(stop.signal, language, config, process.argv[2]);
  await program.parseAsync(process.argv);
} catch (error) {
  process.exitCode = reportError(error, language, config, errors);
}
if (stop.signal.aborted) await end();
setTimeout(() => waitsForResolver() && end(), graceMs).unref();

async function end(): Promise<void> {
  await Promise.all([process.stdout, process.stderr].map(written));
  await quit(Number(process.exitCode ?? 0));
}

/** Resolves once a reader, however slow, has taken what was printed, or is gone. */
function written(stream: NodeJS.WriteStream): Promise<void> | undefined {
  if (stream.writableLength === 0 || stream.destroyed) return;
  return new Promise((done) => stream.write('', () => done()));
}
