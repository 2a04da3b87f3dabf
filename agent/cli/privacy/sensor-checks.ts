// What lies on the disk: the package, the model, the outbox and the settings.
import { hash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { manifestSchema } from '../../classify/model-manifest.ts';
import { hasCode, messageOf } from '../../lib/errors.ts';
import { parseJson } from '../../lib/json.ts';
import { hasAccessList } from '../../lib/libc.ts';
import { readNamedFile, readRegularFile } from '../../lib/regular-file.ts';
import { shellWord } from '../../lib/shell-word.ts';
import { schemaSql } from '../../outbox/migrate.ts';
import { isMade, schemaOf, schemaOfRelease } from '../../outbox/view-outbox.ts';
import { fail, listed, pass, type SensorCheck, unchecked } from './check.ts';
import { halvesOf } from './machine.ts';
import { differences, manifestText, privacyManifest } from './manifest.ts';
import { filled, isOutboxFolder, lookIntoOutboxFolder } from './outbox-folder.ts';
import { checkPackage } from './package-list.ts';
import { startedMs } from './process.ts';

const packageFiles: SensorCheck = {
  id: 'package',
  byHand({ installation, packageList }) {
    const list = shellWord(packageList);
    return `cd ${shellWord(installation)} && sha256sum ${list} && sha256sum --check --quiet ${list} && echo unchanged`;
  },
  run({ installation, packageList, packageDigest }) {
    if (!existsSync(packageList)) return unchecked('privacy.package.none', { list: packageList });
    const { digest, files, changed, added } = checkPackage(installation, packageList);
    // first: against a list of somebody else's, unchanged says nothing
    if (packageDigest !== undefined && digest !== packageDigest) return fail('privacy.package.list', { list: packageList, digest, expected: packageDigest });
    if (changed.length > 0) return fail('privacy.package.changed', { what: listed(changed) });
    if (added.length > 0) return fail('privacy.package.added', { what: listed(added) });
    const open = everythingUnder(installation).filter((path) => {
      const stats = lstatSync(path);
      return !stats.isSymbolicLink() && (stats.uid !== 0 || (stats.mode & 0o022) !== 0);
    });
    if (open.length > 0) return fail('privacy.package.writable', { what: listed(open) });
    return packageDigest === undefined ? pass('privacy.package.ok', { digest, files }) : pass('privacy.package.release', { digest, files });
  },
};

function everythingUnder(folder: string): string[] {
  return [folder, ...readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => join(entry.parentPath, entry.name))];
}

const model: SensorCheck = {
  id: 'model',
  byHand: ({ config }) => `cd ${shellWord(config.model.path)} && sha256sum *.onnx && grep '"sha256"' manifest.json`,
  run({ config }) {
    const folder = config.model.path;
    const { file, name, version, sha256 } = manifestSchema.parse(parseJson(readRegularFile(join(folder, 'manifest.json'))));
    const digest = hash('sha256', readRegularFile(join(folder, file)));
    return digest === sha256 ? pass('privacy.model.ok', { name, version, digest }) : fail('privacy.model.changed', { file: join(folder, file), digest });
  },
};

const outbox: SensorCheck = {
  id: 'outbox',
  byHand({ config }) {
    const path = shellWord(config.outbox.path);
    // with a journal there that a half has made up, the shell would wait for a pipe, or delete a file of its choice
    return `sudo ls ${path}-journal 2>/dev/null || { sudo sqlite3 -readonly ${path} "${schemaSql}" | sha256sum; sudo sqlite3 ${path} "PRAGMA query_only = 1; PRAGMA quick_check"; }`;
  },
  run({ config }) {
    const { path } = config.outbox;
    if (!isMade(path)) return unchecked('privacy.outbox.none', { path });
    try {
      const { text, sound, earlier } = schemaOf(path);
      const digest = hash('sha256', text);
      if (!earlier && text !== schemaOfRelease()) return fail('privacy.outbox.schema', { what: differing(text), digest });
      if (!sound) return fail('privacy.outbox.rows', { path });
      return earlier ? unchecked('privacy.outbox.earlier', { digest }) : pass('privacy.outbox.ok', { digest });
    } catch (error) {
      if (hasCode(error, /^SQLITE_BUSY/)) return unchecked('privacy.outbox.locked', { path });
      throw error;
    }
  },
};

/** The names of the tables, indices and triggers that are not those of the release. */
function differing(text: string): string {
  const entries = (of: string) =>
    new Map(
      [...of.matchAll(/^(table|index|trigger|view)\|([^|]*)\|[\s\S]*?(?=^(?:table|index|trigger|view)\||$(?![\s\S]))/gm)].map(([all, , name]) => [
        name ?? '',
        all,
      ]),
    );
  const [found, ours] = [entries(text), entries(schemaOfRelease())];
  return listed([...new Set([...found.keys(), ...ours.keys()])].filter((name) => found.get(name) !== ours.get(name)));
}

const access: SensorCheck = {
  id: 'access',
  byHand({ config }) {
    const folder = shellWord(dirname(config.outbox.path));
    return `sudo ls -ld ${folder} && sudo ls -lA ${folder} && sudo find ${folder} -name '*.ballast' -exec grep -acP '[^\\0]' {} ';'; sudo tar -C ${folder} --xattrs -cvvf /dev/null . 2>/dev/null | grep '^[^ ]*[*]' || echo none`;
  },
  run(machine) {
    const { path } = machine.config.outbox;
    if (!isMade(path)) return unchecked('privacy.outbox.none', { path });
    const { folder, open, strangers, setAside } = lookIntoOutboxFolder(machine);
    if ((statSync(folder).mode & 0o002) !== 0 || hasAccessList(folder)) open.push(folder);
    if (open.length > 0) return fail('privacy.access.open', { what: listed(open) });
    const wrong = filled(machine.config);
    if (wrong.length > 0) return fail('privacy.access.filled', { what: listed(wrong) });
    const mode = (statSync(path).mode & 0o777).toString(8);
    if (strangers.length > 0)
      return isOutboxFolder(machine)
        ? fail('privacy.access.strangers', { what: listed(strangers), folder })
        : unchecked('privacy.access.shared', { mode, folder });
    return setAside.length > 0 ? pass('privacy.access.setAside', { mode, folder, what: listed(setAside) }) : pass('privacy.access.ok', { mode, folder });
  },
};

const config: SensorCheck = {
  id: 'config',
  byHand({ configPath, publishedManifest }) {
    const published = shellWord(publishedManifest);
    return `tocsin privacy manifest --config ${shellWord(configPath)} | diff - ${published} && sha256sum ${published}`;
  },
  run({ config: settings, publishedManifest }) {
    if (!existsSync(publishedManifest)) return unchecked('privacy.config.none', { path: publishedManifest });
    let published: unknown;
    try {
      published = JSON.parse(readNamedFile(publishedManifest).toString('utf8'));
    } catch (error) {
      return fail('privacy.config.unreadable', { path: publishedManifest, reason: messageOf(error) });
    }
    const own = privacyManifest(settings);
    const wrong = differences(own, Object(published));
    return wrong.length > 0
      ? fail('privacy.config.differs', { what: listed(wrong) })
      : pass('privacy.config.ok', { digest: hash('sha256', manifestText(own)) });
  },
};

const toleranceMs = 100; // a process's start is known to 10 ms

/** What is read at the start only is what runs only if it has not been changed since. */
const unchanged: SensorCheck = {
  id: 'unchanged',
  byHand(machine) {
    const pids = halvesOf(machine).map(({ pid }) => pid);
    if (pids.length === 0) return 'systemctl status tocsin-listener tocsin-courier';
    return `ps -o pid,lstart,args -p ${pids.join(',')}; stat -Lc '%z %n' ${shellWord(machine.configPath)} ${shellWord(machine.config.model.path)}/*; find ${shellWord(machine.installation)} -type f -printf '%C+ %p\\n' | sort | tail -1`;
  },
  run(machine) {
    const halves = halvesOf(machine);
    if (halves.length < 2) return unchecked('privacy.unchanged.none');
    const began = Math.min(...halves.map(({ pid }) => startedMs(pid)));
    const { configPath, installation, config: settings } = machine;
    const program = existsSync(machine.packageList) ? installation : join(installation, 'agent');
    const read = [configPath, ...everythingUnder(settings.model.path), ...everythingUnder(program)];
    const later = read.filter((path) => changedMs(path) > began + toleranceMs);
    return later.length > 0
      ? fail('privacy.unchanged.later', { what: listed(later) })
      : pass('privacy.unchanged.ok', { since: new Date(began).toISOString().slice(0, 19) });
  },
};

/** When a file was last changed: of a link, itself or the file behind it. A folder changes with the names in it. */
function changedMs(path: string): number {
  const found = [lstatSync(path), statSync(path, { throwIfNoEntry: false })];
  return Math.max(...found.map((stats) => (stats === undefined || stats.isDirectory() ? 0 : stats.ctimeMs)));
}

export const sensorChecks = [packageFiles, model, config, unchanged, outbox, access] as const;
