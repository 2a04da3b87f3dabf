import type { Command } from 'commander';
import { addCommand, configOption } from './command.ts';

/** run, listen and deliver: the agent itself. */
export function addRun(program: Command, signal: AbortSignal): void {
  addCommand(program, 'run', 'run listener and courier as two processes, for development and trials', ['tocsin run --config tocsin.yaml'])
    .addOption(configOption())
    .action(async ({ config }: { config: string }) => (await import('./run/both.ts')).runBoth(config, signal));
  addCommand(program, 'listen', 'hear the microphone and store events; never opens a network connection', ['tocsin listen --config /etc/tocsin/tocsin.yaml'])
    .addOption(configOption())
    .action(async ({ config }: { config: string }) => (await import('./run/listener.ts')).runListener(config, signal));
  addCommand(program, 'deliver', 'publish stored events over MQTT; never opens a sound device', ['tocsin deliver --config /etc/tocsin/tocsin.yaml'])
    .addOption(configOption())
    .action(async ({ config }: { config: string }) => (await import('./run/courier.ts')).runCourier(config, signal));
}
