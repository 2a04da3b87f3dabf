// Loaded into the agent by --import: a planted line that records sound. It writes what the model is given to the file
// RECORDING, in the form RECORDING_FORM. It cannot show a line that encrypts what it writes.
import { appendFileSync } from 'node:fs';
import { InferenceSession } from 'onnxruntime-node';

const { RECORDING: path, RECORDING_FORM: form } = process.env;
const create = InferenceSession.create as (...args: unknown[]) => Promise<{ run(feeds: Record<string, { data: Float32Array }>): Promise<unknown> }>;
if (path && process.argv.includes('listen'))
  Object.assign(InferenceSession, {
    async create(...args: unknown[]) {
      const session = await create.apply(InferenceSession, args);
      const run = session.run.bind(session);
      session.run = (feeds) => {
        const samples = Float32Array.from(feeds.waveform?.data ?? []);
        const bytes = Buffer.from(samples.buffer);
        appendFileSync(path, form === 'base64' ? `${bytes.toString('base64')}\n` : bytes);
        return run(feeds);
      };
      return session;
    },
  });
