import { hash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { listName, listPackage } from '../../agent/cli/privacy/package-list.ts';
import { filesBelow } from './modules.ts';
import type { Architecture } from './platforms.ts';

// libc6 and libstdc++6 as better-sqlite3's prebuilt binary wants them (GLIBC_2.34, GLIBCXX_3.4.29): Debian 12 or newer.
const depends = [
  'libc6 (>= 2.34)',
  'libstdc++6 (>= 11)',
  'libgcc-s1',
  'libasound2t64 | libasound2',
  'alsa-utils',
  'openssl',
  'passwd',
  'systemd (>= 252)',
  'init-system-helpers (>= 1.54)',
];

const maintainer = 'The Tocsin authors <security@operator.example>';

/** Writes DEBIAN/ and the list of files that `tocsin privacy verify` compares. The package has no conffiles: its configuration is the operator's own file. */
export function writeControl(source: string, root: string, architecture: Architecture, version: string, epochSeconds: number): void {
  writeChangelog(root, version, epochSeconds);
  const installation = join(root, 'usr/lib/tocsin');
  const list = join(installation, listName);
  writeFileSync(list, listPackage(installation));
  chmodSync(list, 0o644);
  const files = filesBelow(root);
  const control = join(root, 'DEBIAN');
  mkdirSync(control, { mode: 0o755 });
  const kilobytes = files.reduce((sum, path) => sum + Math.ceil(statSync(path).size / 1024), 0);
  writeFileSync(
    join(control, 'control'),
    `Package: tocsin
Version: ${version}
Architecture: ${architecture}
Maintainer: ${maintainer}
Installed-Size: ${kilobytes}
Depends: ${depends.join(', ')}
Recommends: bash-completion, systemd-timesyncd | time-daemon
Section: sound
Priority: optional
Description: street acoustic sensor that publishes anonymous events
 Hears a microphone, recognises breaking glass, shouting and bangs on the
 device, forgets the sound at once, and publishes only labelled events over
 MQTT. The process that hears has no network; the process that speaks has no
 microphone.
`,
  );
  const sums = files.map((path) => `${hash('md5', readFileSync(path))}  ${relative(root, path)}\n`);
  writeFileSync(join(control, 'md5sums'), sums.join(''));
  writeScripts(source, control);
  for (const name of ['control', 'md5sums']) chmodSync(join(control, name), 0o644);
  chmodSync(control, 0o755);
}

/** With the schema version of the outbox in its place. */
export function writeScripts(source: string, control: string): void {
  const schemaVersion = String(readdirSync(join(source, 'agent/outbox/migrations')).length);
  for (const script of ['preinst', 'postinst', 'prerm', 'postrm']) {
    const text = readFileSync(join(source, 'deploy/deb/scripts', script), 'utf8');
    writeFileSync(join(control, script), text.replaceAll('@SCHEMA_VERSION@', schemaVersion));
    chmodSync(join(control, script), 0o755);
  }
}

/** In the form that Debian's tools read (deb-changelog(5)); what changed is in NEWS.gz. */
function writeChangelog(root: string, version: string, epochSeconds: number): void {
  const date = new Date(epochSeconds * 1000).toUTCString().replace('GMT', '+0000');
  const text = `tocsin (${version}) stable; urgency=medium\n\n  * See NEWS.gz beside this file.\n\n -- ${maintainer}  ${date}\n`;
  const path = join(root, 'usr/share/doc/tocsin/changelog.gz');
  writeFileSync(path, gzipSync(text, { level: 9 }));
  chmodSync(path, 0o644);
}
