#!/usr/bin/env node
// The process edge: arguments, signals, exit codes.
import { reportError } from './cli/output.ts';
import { buildProgram } from './cli/program.ts';
import { configNamedBy, languageOf } from './cli/translate.ts';

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
  });
process.on('SIGUSR1', () => undefined); // Node would open a debugger's port
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const language = languageOf(process.argv, process.env);
const config = configNamedBy(process.argv, process.env);
try {
  await buildProgram(stop.signal, language, config).parseAsync(process.argv);
} catch (error) {
  process.exitCode = reportError(error, language, config);
}
