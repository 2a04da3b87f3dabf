import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { install } from '../support/installation.ts';

const asked = ['bufferutil', 'utf-8-validate', 'supports-color']; // asked for by ws and debug, which mqtt depends on; none is shipped

test.each(['above the installation', 'in the home folder'])('the courier does not load a package that lies %s', async (where) => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-own-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const at = (...parts: string[]) => join(folder, ...parts);
  install(at('lib', 'tocsin'));
  const place = where === 'in the home folder' ? at('home', '.node_modules') : at('lib', 'node_modules');
  for (const name of asked) {
    mkdirSync(join(place, name), { recursive: true });
    writeFileSync(join(place, name, 'index.js'), `process.stdout.write('planted ${name}\\n');\n`);
  }
  const settings = { site: 'test', sensor: 'post-1', outbox: { path: at('outbox.db') }, mqtt: { url: 'mqtt://127.0.0.1:1' } };
  writeFileSync(at('tocsin.yaml'), stringify(settings));
  const node = at('lib', 'tocsin', 'node_modules', '.bin', 'node');
  const child = spawn(node, [at('lib', 'tocsin', 'agent', 'main.ts'), 'deliver', '--config', at('tocsin.yaml')], {
    env: { ...process.env, HOME: at('home') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  onTestFinished(() => void child.kill('SIGKILL'));
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('"msg":"not connected')) child.kill(); // it has loaded what it connects with
    });
  await new Promise((done) => child.once('close', done));
  expect(said).toContain('ECONNREFUSED');
  expect(said).not.toContain('planted');
});
