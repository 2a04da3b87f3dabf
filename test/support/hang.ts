// Loaded into a process of the agent by --import: hangs the part named by HANG once the file HANG_WHEN exists. It
// does not show a hang of the kernel or of hardware, only what the process sees of it. Except for `database`, timers
// and everything else continue.
import fs, { existsSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import Database from 'better-sqlite3';
import { MqttClient } from 'mqtt';
import { InferenceSession } from 'onnxruntime-node';

const { HANG: part, HANG_WHEN: trigger = '' } = process.env;
const hanging = () => existsSync(trigger);
const never = () => new Promise<never>(() => undefined);

/** Replaces a method by one that hangs while the trigger exists. */
function patch(prototype: object, name: string, hang: (...args: unknown[]) => unknown): void {
  const methods = prototype as Record<string, (...args: unknown[]) => unknown>;
  const original = methods[name] as (...args: unknown[]) => unknown;
  methods[name] = function (this: unknown, ...args: unknown[]) {
    return hanging() ? hang(...args) : original.apply(this, args);
  };
}

setInterval(() => writeFileSync(`${trigger}.timer`, ''), 250).unref(); // shows that timers fire
if (part === 'capture') {
  const { read } = fs;
  // the timer keeps the process alive, as a pending read would
  const hangingRead = (...args: unknown[]) => (hanging() ? setInterval(never, 60_000) : (read as (...args: unknown[]) => void)(...args));
  const symbols = Object.getOwnPropertySymbols(read).map((symbol) => [symbol, (read as unknown as Record<symbol, unknown>)[symbol]]);
  fs.read = Object.assign(hangingRead, Object.fromEntries(symbols)) as unknown as typeof read; // with the symbols that promisify needs
  syncBuiltinESMExports();
}
if (part === 'inference') {
  const create = InferenceSession.create as (...args: unknown[]) => Promise<object>;
  Object.assign(InferenceSession, {
    async create(...args: unknown[]) {
      const session = await create.apply(InferenceSession, args);
      patch(session, 'run', never);
      return session;
    },
  });
}
const block = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); // blocks the whole process, like a call of SQLite that does not return
if (part === 'database') {
  const statement = Object.getPrototypeOf(new Database(':memory:').prepare('SELECT 1'));
  for (const name of ['prepare', 'transaction']) patch(Database.prototype, name, block);
  for (const name of ['run', 'get', 'all']) patch(statement, name, block);
}
if (part === 'network') {
  // the time-out of a publish must not fire either: the test sets it longer than it waits, and the courier's 90 s
  // pass at once
  const { bigint } = process.hrtime;
  let aheadNs = 0n;
  process.hrtime.bigint = () => bigint() + aheadNs;
  patch(MqttClient.prototype, 'publish', (topic) => {
    if (String(topic).endsWith('/event')) aheadNs = 90_000_000_000n;
  });
}
