import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Copies the content of an installation into a folder: the agent, the model, and its packages for this machine. */
export function install(folder: string): void {
  for (const part of ['agent', 'deploy', 'models/street', 'package.json']) cpSync(part, join(folder, part), { recursive: true });
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, { dev?: boolean }> };
  for (const [path, { dev }] of Object.entries(packages)) {
    if (path === '' || dev || !existsSync(path) || existsSync(join(folder, path))) continue;
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    link(path, join(folder, path));
  }
  const other = process.arch === 'arm64' ? 'x64' : 'arm64';
  for (const path of [
    `onnxruntime-node/bin/napi-v6/linux/${other}`,
    'onnxruntime-node/bin/napi-v6/darwin',
    'onnxruntime-node/bin/napi-v6/win32',
    `node-linux-${other}`,
  ])
    rmSync(join(folder, 'node_modules', path), { recursive: true, force: true });
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
  symlinkSync(`../node-linux-${process.arch}/bin/node`, join(folder, 'node_modules/.bin/node'));
  execFileSync('chmod', ['-R', 'go-w,a+rX', ...['agent', 'deploy', 'models', 'package.json'].map((part) => join(folder, part))]);
}

/** Links packages where the file system allows, since they are large and no test changes them. */
function link(from: string, to: string): void {
  if (spawnSync('cp', ['-al', from, to]).status === 0) return;
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true });
}
