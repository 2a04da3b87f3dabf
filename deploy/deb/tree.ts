import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { filesBelow, stageModules } from './modules.ts';
import { type Architecture, platforms } from './platforms.ts';

const program = 'usr/lib/tocsin';
const doc = 'usr/share/doc/tocsin';
const schemas = ['event', 'status', 'health', 'summary', 'gap', 'selftest', 'privacy'].map((kind) => `${kind}.schema.json`);
const documents = ['cli.md', 'health.md', 'platform.md', 'dpia.en.md', 'dpia.fr.md', 'asyncapi.json', ...schemas];

/** Everything that is installed as it stands in the repository: where it comes from, where it goes. */
const copies: readonly (readonly [from: string, to: string])[] = [
  ['agent', `${program}/agent`],
  ['package.json', `${program}/package.json`],
  ['deploy/tocsin.example.yaml', `${program}/deploy/tocsin.example.yaml`],
  ['deploy/selftest.wav', `${program}/deploy/selftest.wav`],
  ['models/street/model.onnx', `${program}/models/street/model.onnx`],
  ['models/street/manifest.json', `${program}/models/street/manifest.json`],
  ['models/street/MODEL_CARD.md', `${program}/models/street/MODEL_CARD.md`],
  ['models/README.md', `${program}/models/README.md`],
  // again among the files whose digests are listed: privacy verify holds what systemd has read against them
  ['systemd/tocsin-listener.service', `${program}/systemd/tocsin-listener.service`],
  ['systemd/tocsin-courier.service', `${program}/systemd/tocsin-courier.service`],
  ['deploy/deb/tocsin.sh', 'usr/bin/tocsin'],
  ['systemd/tocsin-listener.service', 'usr/lib/systemd/system/tocsin-listener.service'],
  ['systemd/tocsin-courier.service', 'usr/lib/systemd/system/tocsin-courier.service'],
  ['systemd/tocsin.target', 'usr/lib/systemd/system/tocsin.target'],
  ['systemd/tocsin.sysusers.conf', 'usr/lib/sysusers.d/tocsin.conf'],
  ['systemd/tocsin.tmpfiles.conf', 'usr/lib/tmpfiles.d/tocsin.conf'],
  ['deploy/udev/71-tocsin.rules', 'usr/lib/udev/rules.d/71-tocsin.rules'],
  ['deploy/tocsin.example.yaml', `${doc}/examples/tocsin.yaml`],
  ['deploy/deb/copyright', `${doc}/copyright`],
  ['SECURITY.md', `${doc}/SECURITY.md`],
  ['systemd/README.md', `${doc}/units.md`],
  ...documents.map((name) => [`docs/${name}`, `${doc}/${name}`] as const),
  ['deploy/completion/tocsin.bash', 'usr/share/bash-completion/completions/tocsin'],
  ['deploy/completion/_tocsin', 'usr/share/zsh/vendor-completions/_tocsin'],
  ['deploy/completion/tocsin.fish', 'usr/share/fish/vendor_completions.d/tocsin.fish'],
  ['deploy/field-card/field-card.en.html', `${doc}/field-card.en.html`],
  ['deploy/field-card/field-card.fr.html', `${doc}/field-card.fr.html`],
];

/** The same, packed as Debian wants it. */
const packed: readonly (readonly [from: string, to: string])[] = [
  ['deploy/man/tocsin.1', 'usr/share/man/man1/tocsin.1.gz'],
  ['deploy/man/tocsin.fr.1', 'usr/share/man/fr/man1/tocsin.1.gz'],
  ['CHANGELOG.md', `${doc}/NEWS.gz`],
];

/** Throws where an editor, a desktop or a person has left something among the sources: all that lies in agent/ is packed. */
export function refuseStrays(source: string): void {
  const files = filesBelow(join(source, 'agent')).map((path) => relative(source, path));
  const strays = files.filter((path) => /\/[.#]/.test(path) || !/\.(ts|sql)$/.test(path));
  if (strays.length > 0) throw new Error(`Expected only .ts and .sql in agent/, got ${strays.join(', ')}; remove what does not belong to the program`);
}

/** Lays out the files of the package under `root`, but for their times. */
export function stageTree(source: string, root: string, architecture: Architecture, epochSeconds: number): void {
  for (const [from, to] of copies) {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    cpSync(join(source, from), join(root, to), { recursive: true });
  }
  const modules = `${root}.modules`;
  stageModules(source, modules, architecture);
  const node = join(modules, 'node_modules', `node-linux-${platforms[architecture].cpu}`);
  renameSync(join(node, 'bin/node'), join(root, program, 'node'));
  writeFileSync(join(root, doc, 'node-LICENSE.gz'), gzipSync(readFileSync(join(node, 'LICENSE')), { level: 9 }));
  rmSync(node, { recursive: true });
  writeFileSync(join(root, doc, 'sbom.cdx.json'), billOfMaterials(modules, epochSeconds));
  renameSync(join(modules, 'node_modules'), join(root, program, 'node_modules'));
  rmSync(modules, { recursive: true });
  for (const [from, to] of packed) {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    writeFileSync(join(root, to), gzipSync(readFileSync(join(source, from)), { level: 9 }));
  }
  setModes(root);
}

/** CycloneDX, without what differs from build to build: the serial number, the time, and the npm that wrote it. */
function billOfMaterials(modules: string, epochSeconds: number): string {
  const text = execFileSync('npm', ['sbom', '--omit=dev', '--package-lock-only', '--sbom-format=cyclonedx'], { cwd: modules, encoding: 'utf8' });
  const { serialNumber: _, ...bill } = JSON.parse(text) as { serialNumber: string; metadata: { timestamp: string; tools?: unknown } };
  delete bill.metadata.tools;
  bill.metadata.timestamp = new Date(epochSeconds * 1000).toISOString();
  return `${JSON.stringify(bill, null, 1)}\n`;
}

/** One mode for all of a kind, so that two builds are one. */
function setModes(root: string): void {
  const executable = new Set(['usr/bin/tocsin', `${program}/node`].map((path) => join(root, path)));
  for (const path of filesBelow(root)) chmodSync(path, executable.has(path) ? 0o755 : 0o644);
  for (const entry of readdirSync(root, { withFileTypes: true, recursive: true }))
    if (entry.isDirectory()) chmodSync(join(entry.parentPath, entry.name), 0o755);
  chmodSync(root, 0o755);
}

/** One time for all, so that two builds are one. Children before their folder, for to change a child changes the folder's time. */
export function touch(path: string, epochSeconds: number): void {
  if (statSync(path).isDirectory()) for (const name of readdirSync(path)) touch(join(path, name), epochSeconds);
  utimesSync(path, epochSeconds, epochSeconds);
}
