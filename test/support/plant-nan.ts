// Loaded into the listener by --import: once the file PLANT_WHEN exists, one sample given to the model is not a
// number. It cannot show which sound or device would give one.
import { existsSync } from 'node:fs';
import { InferenceSession } from 'onnxruntime-node';

const trigger = process.env.PLANT_WHEN ?? '';
const create = InferenceSession.create as (...args: unknown[]) => Promise<{ run(feeds: Record<string, { data: Float32Array }>): Promise<unknown> }>;
let planted = false;
Object.assign(InferenceSession, {
  async create(...args: unknown[]) {
    const session = await create.apply(InferenceSession, args);
    const run = session.run.bind(session);
    session.run = (feeds) => {
      if (!planted && existsSync(trigger)) {
        planted = true;
        feeds.waveform?.data.fill(Number.NaN, 0, 1);
      }
      return run(feeds);
    };
    return session;
  },
});
