import { onTestFinished } from 'vitest';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openPatientOutbox, type PatientOptions } from '../../agent/outbox/patient-outbox.ts';
import { isDamage } from '../../agent/outbox/sqlite.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { limits, silentLogger } from './samples.ts';

/** Opens an outbox as both processes do, with quick retries; closes it when the test ends. */
export function openPatient(path: string, change: Partial<PatientOptions> = {}): Outbox {
  const outbox = openPatientOutbox({
    path,
    open: () => openSqliteOutbox(path, limits, { repair: true }),
    isDamage,
    logger: silentLogger,
    retryMs: 50,
    ...change,
  });
  onTestFinished(() => outbox.close());
  return outbox;
}
