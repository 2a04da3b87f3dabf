import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { sceneSounds } from '../demo/synthesise-scene.ts';

// what a listener that was changed would leave beside the outbox
const plantedFile = `data:text/javascript,import{writeFileSync}from'node:fs';
  const[path]=process.argv.filter((word)=>word.endsWith('tocsin.yaml'));
  if(process.argv.includes('listen'))writeFileSync(path.replace('tocsin.yaml','sound.wav'),'RIFF')`.replace(/\n */g, '');

test('the demo ends on its own, exactly the sounds of its scene arrive, it names each file left, and leaves nothing behind', () => {
  const env = { ...process.env, NODE_OPTIONS: `--import="${plantedFile}"` };
  const { status, stdout, stderr } = spawnSync(process.execPath, ['test/demo/demo.ts'], { encoding: 'utf8', timeout: 90_000, env });
  expect(stderr).toBe('');
  const arrived = stdout.split('\n').flatMap((line) => /^ {2}(\w+) +confidence /.exec(line)?.[1] ?? []);
  expect(arrived).toEqual(sceneSounds.map(({ label }) => label));
  expect(stdout).toContain(`${sceneSounds.length} events reached the subscriber`);
  expect(stdout).toMatch(/outbox\.db \(\d+ bytes\).*, sound\.wav \(4 bytes\) and nothing else/);
  expect(stdout).toContain('nothing of it is left');
  expect(status).toBe(0);
});

test('the demo ends with the reader of its output, as in `npm run demo | head`, and leaves nothing behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-demo-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const demo = spawn(process.execPath, ['test/demo/demo.ts'], { env: { ...process.env, TMPDIR: folder }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  demo.stderr.on('data', (words) => {
    said += words;
  });
  await once(demo.stdout, 'data');
  demo.stdout.destroy();
  await once(demo, 'close'); // stderr is closed once the agent, which has it too, is gone
  expect(said).toBe('');
  expect(readdirSync(folder)).toEqual([]);
});

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('the demo that %s ends leaves nothing behind', async (signal) => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-demo-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const demo = spawn(process.execPath, ['test/demo/demo.ts'], { env: { ...process.env, TMPDIR: folder }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  demo.stdout.on('data', (words) => {
    if (!said.includes('online') && `${said}${words}`.includes('online')) demo.kill(signal);
    said += words;
  });
  await once(demo, 'close');
  expect(said).toContain('nothing of it is left');
  expect(readdirSync(folder)).toEqual([]);
});
