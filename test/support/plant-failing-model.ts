// Loaded into the listener by --import: the model takes 1.5 s to load, as on a slow board, and then fails while the
// file PLANT_WHEN exists. It cannot show what a really damaged graph does to the runtime.
import { existsSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { InferenceSession } from 'onnxruntime-node';

const create = InferenceSession.create as (...args: unknown[]) => Promise<InferenceSession>;
Object.assign(InferenceSession, {
  async create(...args: unknown[]) {
    await wait(1500);
    if (existsSync(process.env.PLANT_WHEN ?? '')) throw new Error('a damaged graph');
    return create.apply(InferenceSession, args);
  },
});
