import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type Architecture, platforms } from './platforms.ts';

/**
 * Puts the dependencies of one architecture under `folder/node_modules`, whichever this machine has: npm checks each against
 * its digest in the lockfile and runs no script. What the sensor has no use for is taken out again.
 */
export function stageModules(source: string, folder: string, architecture: Architecture): void {
  const { cpu } = platforms[architecture];
  mkdirSync(folder, { recursive: true });
  for (const name of ['package.json', 'package-lock.json', '.npmrc']) copyFileSync(join(source, name), join(folder, name));
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['ci', '--omit=dev', '--ignore-scripts', '--prefer-offline', '--os=linux', `--cpu=${cpu}`, '--libc=glibc', ...quiet], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  prune(join(folder, 'node_modules'), architecture);
}

// Sources, types and documents of dependencies; licences stay. Only by path within a package, so that no code is touched.
const needless = [
  /(^|\/)\.[^/]+(\/|$)/,
  /^(@[^/]+\/)?[^/]+\/(tests?|examples?|benchmarks?|docs)\//,
  /^better-sqlite3\/(deps|src)\//,
  /^onnxruntime-node\/(script|lib|__commit)/,
  /^koffi\/(doc|vendor|lib)\//,
  /^node-linux-[^/]+\/(include|share)\//,
  /\.(md|markdown|html|map|gyp|gypi|flow|c|cc|cpp|h|hh|hpp|inc|asm|S)$/i,
  /\.d\.[cm]?ts$/,
];

function prune(modules: string, architecture: Architecture): void {
  const { keep } = platforms[architecture];
  for (const path of filesBelow(modules)) {
    const name = relative(modules, path);
    const foreign = isNative(path) && !keep.some((part) => name.includes(part));
    const otherPlatform = /(^|\/)napi-v\d+\//.test(name) && !keep.some((part) => name.includes(part));
    const documents = needless.some((pattern) => pattern.test(name)) && !/(^|\/)licen[cs]e/i.test(name);
    if (foreign || otherPlatform || documents) rmSync(path);
  }
  removeEmptyFolders(modules);
}

/** Files of ELF, Mach-O or PE: what a processor runs. */
function isNative(path: string): boolean {
  return /\.(node|so(\.\d+)*|dylib|dll|lib|exe)$/.test(path);
}

/** All files below a folder, in one order on every machine. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function removeEmptyFolders(folder: string): void {
  for (const name of readdirSync(folder)) if (statSync(join(folder, name)).isDirectory()) removeEmptyFolders(join(folder, name));
  if (readdirSync(folder).length === 0) rmSync(folder, { recursive: true });
}
