import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkPackage } from '../../agent/cli/privacy/package-list.ts';
import { filesBelow } from '../../deploy/deb/modules.ts';
import type { Architecture } from '../../deploy/deb/platforms.ts';
import { buildPackage, copySources, thisArchitecture } from '../support/package.ts';
import { withoutSystemTests } from '../support/system.ts';

/** EM_X86_64 and EM_AARCH64. */
const machineOf: Record<Architecture, number> = { amd64: 62, arm64: 183 };

/** The `e_machine` of an ELF file (System V ABI, ELF header, offset 18), or undefined where it is none. */
function elfMachineOf(path: string): number | undefined {
  const head = readFileSync(path).subarray(0, 20);
  return head.length === 20 && head.readUInt32BE(0) === 0x7f454c46 ? head.readUInt16LE(18) : undefined;
}

const without = withoutSystemTests('dpkg-deb');
describe.skipIf(without)(`the Debian package${without ? ` (left out: ${without})` : ''}`, { timeout: 400_000 }, () => {
  const opened = new Map<Architecture, { file: string; root: string }>();
  const open = (architecture: Architecture) => {
    const known = opened.get(architecture);
    if (known) return known;
    const file = buildPackage(architecture);
    const root = mkdtempSync(join(tmpdir(), 'tocsin-root-'));
    execFileSync('dpkg-deb', ['-x', file, root]);
    opened.set(architecture, { file, root });
    return { file, root };
  };

  test.each(['amd64', 'arm64'] as const)('for %s contains binaries of that architecture only, in at most 60 MB', (architecture) => {
    const { file, root } = open(architecture);
    expect(statSync(file).size).toBeLessThan(60e6);
    const machines = filesBelow(root).flatMap((path) => elfMachineOf(path) ?? []);
    expect(machines.length).toBeGreaterThanOrEqual(6); // node, onnxruntime and its binding, better-sqlite3, node-web-audio-api, koffi
    expect(new Set(machines)).toEqual(new Set([machineOf[architecture]]));
    expect(filesBelow(root).filter((path) => /\.(dll|dylib|exe)$|cuda|tensorrt|musl.*\.node|darwin.*\.node|win32.*\.node/i.test(path))).toEqual([]);
  });

  test('contains files of root that others cannot write, and no conffiles', () => {
    const { file } = open(thisArchitecture);
    const listing = execFileSync('dpkg-deb', ['-c', file], { encoding: 'utf8' }).trim().split('\n');
    expect(listing.length).toBeGreaterThan(500);
    for (const line of listing) expect(line).toMatch(/^(drwxr-xr-x|-rw-r--r--|-rwxr-xr-x) root\/root /);
    expect(listing.filter((line) => line.startsWith('-rwx')).map((line) => line.split(' ').at(-1))).toEqual(['./usr/bin/tocsin', './usr/lib/tocsin/node']);
    expect(listing.filter((line) => / \.\/(etc|var|run|home|opt)\//.test(line))).toEqual([]);
  });

  test('contains correct digests of its files', () => {
    const { file, root } = open(thisArchitecture);
    const installation = join(root, 'usr/lib/tocsin');
    const { files, changed, added } = checkPackage(installation, file.replace(/\.deb$/, '.sha256'));
    expect({ changed, added }).toEqual({ changed: [], added: [] });
    expect(files).toBeGreaterThan(500);
    expect(readFileSync(join(installation, 'tocsin.sha256'))).toEqual(readFileSync(file.replace(/\.deb$/, '.sha256')));
  });

  test('contains a working agent, koffi and the documents', () => {
    const { root } = open(thisArchitecture);
    const node = join(root, 'usr/lib/tocsin/node');
    const main = join(root, 'usr/lib/tocsin/agent/main.ts');
    const replayed = spawnSync(node, [main, 'replay', 'test/demo/scene.flac', '--json'], { encoding: 'utf8' });
    expect(replayed.stderr).toBe('');
    expect(
      replayed.stdout
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { label: string }).label),
    ).toContain('glass_break');
    expect(spawnSync(node, ['-e', "import('koffi').then((k) => k.default.load(null))"], { cwd: join(root, 'usr/lib/tocsin') }).status).toBe(0);
    const documents = ['man/man1/tocsin.1.gz', 'man/fr/man1/tocsin.1.gz', 'bash-completion/completions/tocsin', 'doc/tocsin/copyright'];
    for (const path of [...documents, 'doc/tocsin/examples/tocsin.yaml', 'doc/tocsin/sbom.cdx.json'])
      expect(existsSync(join(root, 'usr/share', path)), path).toBe(true);
    // whatever differs between machines would change the digest of the package
    const { serialNumber, metadata, components } = JSON.parse(readFileSync(join(root, 'usr/share/doc/tocsin/sbom.cdx.json'), 'utf8'));
    expect([serialNumber, metadata.tools, components.length > 10]).toEqual([undefined, undefined, true]);
  });

  test('contains every published schema and every document that a message names', () => {
    const { root } = open(thisArchitecture);
    const shipped = new Set(readdirSync(join(root, 'usr/share/doc/tocsin')));
    const wanted = [
      ...readdirSync('docs').filter((name) => name.endsWith('.schema.json')),
      'asyncapi.json',
      'cli.md',
      'health.md',
      'platform.md',
      'dpia.en.md',
      'dpia.fr.md',
      'units.md',
    ];
    expect(wanted.filter((name) => !shipped.has(name))).toEqual([]);
    expect(existsSync(join(root, 'usr/lib/tocsin/models/README.md'))).toBe(true);
  });

  test('is byte-identical when built in another folder', () => {
    const { file } = open(thisArchitecture);
    const digest = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
    expect(digest(buildPackage(thisArchitecture, copySources()))).toBe(digest(file));
  });
});
