import Table from 'cli-table3';
import type { Command } from 'commander';
import { loadConfig } from '../config/load-config.ts';
import type { Outbox } from '../outbox/outbox.ts';
import { openSqliteOutbox } from '../outbox/sqlite-outbox.ts';
import { print, printJson } from './output.ts';
import { addCommand, configOption } from './program.ts';

/** What the listener last told of its hearing; nothing before it first ran. */
function hearingOf(outbox: Outbox): object {
  const record = outbox.readHearing();
  if (!record) return {};
  const { state: hearing, fault, suspicion, listenedSeconds, sinceMonotonicMs, writtenMonotonicMs } = record;
  return {
    hearing,
    fault,
    suspicion,
    listenedSeconds: Math.round(listenedSeconds),
    elapsedSeconds: Math.round((writtenMonotonicMs - sinceMonotonicMs) / 1000),
  };
}

interface Options {
  config: string;
  json?: true;
  limit?: string;
}

/** status and events: what the outbox holds. Whoever reads it reads everything that could leave the sensor. */
export function addStatus(program: Command): void {
  addCommand(program, 'status', 'counts of events stored, sent, waiting, expired and refused', ['tocsin status', 'tocsin status --json'])
    .addOption(configOption())
    .option('--json', 'one JSON object')
    .action((options: Options) => {
      const { site, sensor, outbox: settings } = loadConfig(options.config);
      const outbox = openSqliteOutbox(settings.path, settings);
      const state = { site, sensor, outbox: settings.path, pending: outbox.pendingCount(), ...outbox.fates(), ...hearingOf(outbox) };
      outbox.close();
      if (options.json) return printJson(state);
      const table = new Table();
      for (const [key, value] of Object.entries(state)) table.push({ [key]: String(value) });
      print(table.toString());
    });
  addCommand(program, 'events', 'events that wait for delivery', ['tocsin events', 'tocsin events --limit 5 --json'])
    .addOption(configOption())
    .option('--json', 'one JSON object a line')
    .option('-n, --limit <count>', 'at most this many', '20')
    .action((options: Options) => {
      const { outbox: settings } = loadConfig(options.config);
      const outbox = openSqliteOutbox(settings.path, settings);
      const events = outbox.pending(0, Math.max(1, Number(options.limit) || 20));
      outbox.close();
      if (options.json) return events.forEach(printJson);
      const table = new Table({ head: ['sequence', 'onset', 'label', 'confidence', 'above background'] });
      for (const e of events)
        table.push([e.sequence, new Date(e.onsetWallMs).toISOString(), e.label, e.confidence.toFixed(2), `${e.levelAboveBackgroundDb} dB`]);
      print(events.length > 0 ? table.toString() : 'No event waits for delivery.');
    });
}
