// A listener and a courier in one process, on one outbox file and on a clock of the test's own. They end in order, by a kill or by a power cut.
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openPatientOutbox } from '../../agent/outbox/patient-outbox.ts';
import { isDamage } from '../../agent/outbox/sqlite.ts';
import { type OutboxLimits, openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { silentLogger } from '../support/samples.ts';

export type Half = 'listener' | 'courier';
const writes = ['append', 'acknowledge', 'expire', 'drop', 'gapReported', 'writeHearing', 'noteBoot', 'writeSummary', 'summaryReported'] as const;
type Write = (typeof writes)[number];
/** Does a write of a half in SQLite by calling `real`, or fails in its place. */
export type OnWrite = (kind: Write, real: (...args: unknown[]) => unknown, args: unknown[]) => unknown;

export const newFolder = (name: string) => mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `tocsin-${name}-`));

interface Opened {
  readonly outbox: Outbox;
  /** What its timer does each second. */
  readonly tick: () => void;
  readonly inner: () => Outbox | undefined;
}

export class TwoHalves {
  nowMs = 0; // of performance.now
  readonly #limits: OutboxLimits;
  readonly #maxHeld: number;
  readonly #onWrite: OnWrite;
  readonly #onOpen: (half: Half) => void;
  readonly #open = new Map<Half, Opened>();
  readonly #restore: () => void;
  #folder: string;
  #isKilling = false;

  constructor(folder: string, limits: OutboxLimits, maxHeld: number, onWrite: OnWrite, onOpen: (half: Half) => void = () => undefined) {
    [this.#folder, this.#limits, this.#maxHeld, this.#onWrite, this.#onOpen] = [folder, limits, maxHeld, onWrite, onOpen];
    const { now } = performance;
    const { prepare } = Database.prototype;
    const isKilling = () => this.#isKilling;
    let looks = 0;
    performance.now = () => this.nowMs + looks++ / 10; // else a repair that may search for some seconds would search for ever
    // one that is killed gives back no numbers
    Database.prototype.prepare = function (this: Database.Database, sql: string) {
      if (isKilling() && sql.includes('reserved = NULL')) throw new Error('killed');
      return prepare.call(this, sql);
    } as typeof prepare;
    this.#restore = () => {
      performance.now = now;
      Database.prototype.prepare = prepare;
    };
  }

  get path(): string {
    return join(this.#folder, 'outbox.db');
  }

  get(half: Half): Opened {
    const found = this.#open.get(half);
    if (!found) throw new Error(`the ${half} is closed`);
    return found;
  }

  open(...halves: Half[]): void {
    for (const half of halves) this.#open.set(half, this.#opened(half));
  }

  #opened(half: Half): Opened {
    let inner: Outbox | undefined;
    let tick = () => {};
    const use = half === 'listener' ? { reserve: true } : { listenerRuns: () => (this.#isKilling ? undefined : this.#open.has('listener')) };
    const open = () => {
      inner = openSqliteOutbox(this.path, this.#limits, { repair: true, ...use });
      this.#onOpen(half);
      const methods = inner as unknown as Record<Write, (...args: unknown[]) => unknown>;
      for (const kind of writes) {
        const real = methods[kind].bind(inner);
        methods[kind] = (...args) => this.#onWrite(kind, real, args);
      }
      return inner;
    };
    const { setInterval } = globalThis;
    globalThis.setInterval = ((work: () => void) => {
      tick = work;
      return { unref: () => undefined };
    }) as never;
    try {
      const outbox = openPatientOutbox({ path: this.path, open, isDamage, logger: silentLogger, maxHeld: this.#maxHeld });
      return { outbox, tick: () => tick(), inner: () => inner };
    } finally {
      globalThis.setInterval = setInterval;
    }
  }

  close(...halves: Half[]): void {
    for (const half of halves) {
      this.get(half).outbox.close();
      this.#open.delete(half);
    }
  }

  /** For one while the other goes on: the last that SQLite closes brings the log into the file, as no kill does. For both there is `crash`. */
  kill(...halves: Half[]): void {
    this.#isKilling = true;
    try {
      for (const half of halves) {
        this.#open.get(half)?.inner()?.close();
        this.#open.delete(half);
      }
    } finally {
      this.#isKilling = false;
    }
  }

  /** Both end at once; the files stay as they were, the shared memory only if it was a kill. */
  crash(keepsMemory: boolean): void {
    const next = newFolder('model');
    for (const name of readdirSync(this.#folder)) if (keepsMemory || !name.endsWith('-shm')) cpSync(join(this.#folder, name), join(next, name));
    this.kill('listener', 'courier');
    rmSync(this.#folder, { recursive: true });
    this.#folder = next;
  }

  look<T>(sql: string): T[] {
    const db = new Database(this.path, { readonly: true });
    try {
      return db.prepare(sql).all() as T[];
    } finally {
      db.close();
    }
  }

  end(): void {
    try {
      this.kill('listener', 'courier');
    } finally {
      this.#restore();
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }
}
