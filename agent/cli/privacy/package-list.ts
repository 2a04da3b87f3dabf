// The list of the installation's files, in the form of sha256sum: `tocsin.sha256` beside package.json.
import { hash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ifPossible } from '../../lib/if-possible.ts';
import { readNamedFile } from '../../lib/regular-file.ts';

export const listName = 'tocsin.sha256';

interface PackageState {
  /** sha256 of the list itself: one number for the whole package. */
  readonly digest: string;
  readonly files: number;
  /** Listed, and another content or none; there, and not listed. */
  readonly changed: readonly string[];
  readonly added: readonly string[];
}

/**
 * A line for each file, and each link to a file, under a folder: digest and path from the folder, in the order of the
 * bytes of the path. The same as `find . -xtype f ! -path ./tocsin.sha256 -printf '%P\n' | LC_ALL=C sort | xargs -d
 * '\n' sha256sum`.
 */
export function listPackage(folder: string): string {
  return filesUnder(folder)
    .map((path) => `${hash('sha256', readFileSync(join(folder, path)))}  ${path}\n`)
    .join('');
}

/** Holds the files of a folder against a list. Throws when the list cannot be read. */
export function checkPackage(folder: string, listPath: string): PackageState {
  const list = readNamedFile(listPath);
  const expected = new Map(
    list
      .toString('utf8')
      .split('\n')
      .flatMap((line) => {
        const [, digest = '', path = ''] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line) ?? [];
        return path ? [[path, digest] as const] : [];
      }),
  );
  const present = filesUnder(folder);
  const known = new Set(present);
  const changed = [...expected].filter(([path, digest]) => !known.has(path) || hash('sha256', readFileSync(join(folder, path))) !== digest);
  return {
    digest: hash('sha256', list),
    files: expected.size,
    changed: changed.map(([path]) => path),
    added: [...present.filter((path) => !expected.has(path)), ...linksElsewhere(folder)],
  };
}

function filesUnder(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() || (entry.isSymbolicLink() && isFile(join(entry.parentPath, entry.name))))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((path) => path !== listName)
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Links that lead to a folder or nowhere: a package has none, and no list would see what lies behind them. */
function linksElsewhere(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isSymbolicLink() && !isFile(join(entry.parentPath, entry.name)))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

/** Not so for a link that leads nowhere. */
function isFile(path: string): boolean {
  return ifPossible(() => statSync(path).isFile()) ?? false;
}
