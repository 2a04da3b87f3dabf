import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { formsInMemory, pieceOf } from '../support/memory-search.ts';
import { seededRandom } from '../support/random.ts';

const random = seededRandom(78);
const period = Int16Array.from({ length: 250 }, () => (random() - 0.5) * 20_000); // half a kilobyte, again and again
const sound = Int16Array.from({ length: 300_001 }, (_, i) => period[i % period.length] as number);
const bytes = Buffer.from(sound.buffer);
const file = join(mkdtempSync(join(tmpdir(), 'tocsin-pcm-')), 'sound');
writeFileSync(file, bytes);
const pieces = [pieceOf('int16', bytes), pieceOf('float32', Buffer.from(Float32Array.from(sound, (s) => s / 32768).buffer))];

/** What another process says that reads the output of a shell script, and the forms in which it still holds it. */
async function read(script: string, chunks?: number) {
  const reader = spawn(process.execPath, ['test/support/slow-reader.ts', script, ...(chunks ? [String(chunks)] : [])], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void reader.kill('SIGKILL'));
  const [said] = await once(reader.stdout, 'data');
  return { said: String(said).trim(), held: formsInMemory(reader.pid as number, pieces) };
}

test('a reader that is slower than the microphone gets all of the sound, and holds none of it afterwards', async () => {
  expect(await read(`cat ${file}`)).toEqual({ said: `${sound.length} samples`, held: [] });
});

test('whatever the sizes in which it comes, halves of samples too', async () => {
  expect(await read(`for n in 1 2 3 4 5; do head -c 60001; sleep 0.1; done <${file}`)).toEqual({ said: `${(5 * 60_001 - 1) / 2} samples`, held: [] });
});

test('one that stops in the middle holds none either', async () => {
  const { said, held } = await read(`cat ${file}; sleep 30`, 3);
  expect(Number.parseInt(said, 10)).toBeLessThan(sound.length);
  expect(held).toEqual([]);
});
