// npm run deb: tocsin_VERSION_ARCHITECTURE.deb for arm64 and amd64, on a machine of either, and beside each the list of its
// files for `tocsin privacy verify --package-list`, whose digest it prints for `--package-digest`.
import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeControl } from './control.ts';
import { pack } from './pack.ts';
import { type Architecture, architectures } from './platforms.ts';
import { refuseStrays, stageTree, touch } from './tree.ts';

const source = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const { version } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as { version: string };
const { values } = parseArgs({
  options: {
    arch: { type: 'string', multiple: true, default: architectures },
    version: { type: 'string', default: version.replace('-', '~') },
    out: { type: 'string', default: join(source, 'deploy/deb/out') },
    compression: { type: 'string', default: 'xz' }, // zstd: a tenth of the time and 11 MB more, for trials
  },
});
refuseStrays(source);
// to Debian what follows a hyphen is a revision: 0.2.0-rc.1 is later than 0.2.0, and a sensor that has it never takes that
const [released, before] = values.version.split(/-(.*)/);
if (before !== undefined)
  throw new Error(`Expected a version without a hyphen, got ${values.version}; try: --version ${released}~${before}, which comes before ${released}`);
// older ones, as those of Debian 12 and 13, cannot take the parts of another machine, nor name those that they took
const npm = execFileSync('npm', ['--version'], { encoding: 'utf8' }).trim();
if (Number.parseInt(npm, 10) < 10) throw new Error(`Expected npm 10 or newer, got ${npm}; try: npx npm@11 run deb`);
const epochSeconds = Number(process.env.SOURCE_DATE_EPOCH ?? committedAt());
const environment = { ...process.env, SOURCE_DATE_EPOCH: String(epochSeconds), LC_ALL: 'C' };

process.on('SIGINT', () => undefined); // Ctrl-C ends npm or dpkg-deb as well, whose end is an error that takes the work folder away
mkdirSync(values.out, { recursive: true });
for (const architecture of values.arch) {
  if (!architectures.includes(architecture as Architecture)) throw new Error(`Expected --arch ${architectures.join(' or ')}, got ${architecture}`);
  const file = join(values.out, `tocsin_${values.version}_${architecture}.deb`);
  const list = file.replace(/\.deb$/, '.sha256');
  build(architecture as Architecture, file, list);
  for (const path of [file, list]) process.stdout.write(`${hash('sha256', readFileSync(path))}  ${path}  ${(statSync(path).size / 1e6).toFixed(1)} MB\n`);
}

function build(architecture: Architecture, file: string, list: string): void {
  const work = mkdtempSync(join(tmpdir(), 'tocsin-deb-'));
  try {
    const root = join(work, 'root');
    stageTree(source, root, architecture, epochSeconds);
    writeControl(source, root, architecture, values.version, epochSeconds);
    touch(root, epochSeconds);
    pack(root, file, list, values.compression, environment);
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** The time of the commit, so that whoever builds it again has the same package. */
function committedAt(): string {
  try {
    return execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: source, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string | null }; // git says whose the sources are, where it refuses to look
    throw new Error(`Expected the time of the last commit from git, or SOURCE_DATE_EPOCH, got: ${stderr?.trim() || message}`);
  }
}
