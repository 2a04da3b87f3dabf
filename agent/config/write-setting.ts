import { isUtf8 } from 'node:buffer';
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { type Document, isMap, isScalar, parseDocument, Scalar } from 'yaml';
import { ConfigError, exitCodes, hasCode, isFull, messageOf, TocsinError } from '../lib/errors.ts';
import { moveFile, removeFile, writeBeside } from '../lib/place-file.ts';
import { checkConfig } from './load-config.ts';

interface Setting {
  readonly keys: readonly string[];
  readonly value: number | string;
  readonly comment: string;
}

/**
 * Writes values into a configuration file, each followed by a comment. All other values and comments stay, though their
 * spacing may change. The result is checked and flushed to disk, then replaces the file in one step, with its owner and
 * mode. If the path is a symbolic link, the file that it points to changes.
 */
export function writeSettings(path: string, settings: readonly Setting[]): void {
  writeThen(path, withSettings(path, settings), moveFile);
}

/**
 * Does everything but the last step, with any value that may be stored. Throws what `writeSettings` would throw, before
 * a person does the work whose outcome it is to store.
 */
export function checkWritable(path: string, keys: readonly string[], value: number | string): void {
  writeThen(path, withSettings(path, [{ keys, value, comment: 'not stored' }]), removeFile);
}

function withSettings(path: string, settings: readonly Setting[]): string {
  const document = parseDocument(readLines(path));
  let text: string;
  let value: unknown;
  try {
    for (const setting of settings) setIn(document, setting);
    text = document.toString({ lineWidth: 0 });
    value = parseDocument(text).toJS();
  } catch (cause) {
    // in the place of a group, or of the value that it is a name for
    throw new ConfigError(`Expected to write ${path}, got: an alias (*name)`, 'write the value itself in place of each *name', { cause });
  }
  checkConfig(value, path);
  return text;
}

/**
 * A line that is no UTF-8 has a comment in the form of an editor of Windows, which is kept as UTF-8: a value in that
 * form does not load.
 */
function readLines(path: string): string {
  const lines = readFileSync(path, 'latin1').split('\n');
  return lines
    .map((line) => Buffer.from(line, 'latin1'))
    .map((line) => (isUtf8(line) ? line.toString('utf8') : new TextDecoder('windows-1252').decode(line)))
    .join('\n');
}

function setIn(document: Document, { keys, value, comment }: Setting): void {
  const scalar = new Scalar(value);
  scalar.comment = ` ${comment}`;
  for (let depth = 1; depth < keys.length; depth++) {
    const group = keys.slice(0, depth);
    const there = document.getIn(group, true);
    // made here: in a file of YAML 1.1 the library would make an ordered list of it, which is read as an empty group
    if (there === undefined) document.setIn(group, document.createNode({}));
    else if (isScalar(there) && there.value === null) document.setIn(group, Object.assign(document.createNode({}), { commentBefore: there.comment })); // of its keys, all comments
  }
  document.setIn(keys, scalar);
  const parent = document.getIn(keys.slice(0, -1));
  if (isMap(parent)) parent.flow = false; // within braces, a comment after a value would hide the next value
}

function writeThen(path: string, text: string, then: (beside: string, place: string) => void): void {
  let beside: string | undefined;
  try {
    const place = realpathSync(path);
    const owned = statSync(place);
    beside = writeBeside(place, text, owned.mode, owned);
    then(beside, place);
  } catch (cause) {
    if (beside !== undefined) removeFile(beside);
    throw new TocsinError(
      `Expected to write ${path}, got: ${messageOf(cause)}`,
      isFull(cause)
        ? 'make room there (df -h)'
        : hasCode(cause, /^EROFS$/)
          ? 'the file system is read-only: findmnt shows its options; change the file where it can be written'
          : 'run it again with sudo',
      isFull(cause) ? exitCodes.failure : exitCodes.config,
      { cause },
    );
  }
}

/** Writes one setting. */
export function writeSetting(path: string, keys: readonly string[], value: number | string, comment: string): void {
  writeSettings(path, [{ keys, value, comment }]);
}
