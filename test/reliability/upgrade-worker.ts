// Creates an outbox of an older release, records that in `marks` beside it, and opens it as a process does:
// upgrade-worker.ts PATH VERSION closed|open
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { openOlderOutbox } from '../support/older-outbox.ts';
import { limits } from '../support/samples.ts';

const [path = '', version, left] = process.argv.slice(2);
const db = openOlderOutbox(path, Number(version));
if (left === 'closed') db.close();
writeFileSync(join(dirname(path), 'marks'), 'laid');
openSqliteOutbox(path, limits, { repair: true }).close();
