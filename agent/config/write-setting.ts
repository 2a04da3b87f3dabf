import { randomUUID } from 'node:crypto';
import { chmodSync, chownSync, closeSync, openSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { isMap, parseDocument, Scalar } from 'yaml';
import { ConfigError, hasCode, isFull, messageOf } from '../lib/errors.ts';
import { moveFile } from '../lib/place-file.ts';
import { checkConfig } from './load-config.ts';

export interface Setting {
  readonly keys: readonly string[];
  readonly value: number | string;
  readonly comment: string;
}

/**
 * Writes values into a configuration file, each with a comment behind it. All other values and comments stay, if not their
 * spacing; the result is checked and on the disk before it takes the file's place, in one step and with its owner and mode. Behind a symbolic
 * link it is the file linked to that changes.
 */
export function writeSettings(path: string, settings: readonly Setting[]): void {
  const document = parseDocument(readFileSync(path, 'utf8'));
  for (const { keys, value, comment } of settings) {
    const scalar = new Scalar(value);
    scalar.comment = ` ${comment}`;
    document.setIn(keys, scalar);
    const parent = document.getIn(keys.slice(0, -1));
    if (isMap(parent)) parent.flow = false; // a comment behind a value within braces would hide the next
  }
  const text = document.toString({ lineWidth: 0 });
  checkConfig(parseDocument(text).toJS(), path);
  writeBeside(path, text, moveFile);
}

/** Does all of it but the last step: throws what `writeSettings` would, before a person has done the work whose outcome it is to store. */
export function checkWritable(path: string): void {
  writeBeside(path, readFileSync(path, 'utf8'), (beside) => rmSync(beside));
}

function writeBeside(path: string, text: string, then: (beside: string, place: string) => void): void {
  let beside: string | undefined;
  try {
    const place = realpathSync(path);
    const { mode, uid, gid } = statSync(place);
    const own = `${place}.${randomUUID()}.tmp`; // a number of a process comes again, and what a killed one left would be in the way
    const file = openSync(own, 'wx', mode); // no file of another's, nor what a link there points to
    beside = own;
    try {
      writeFileSync(file, text, { flush: true });
    } finally {
      closeSync(file);
    }
    chmodSync(beside, mode);
    chownSync(beside, uid, gid);
    then(beside, place);
  } catch (cause) {
    if (beside !== undefined) rmSync(beside, { force: true });
    throw new ConfigError(
      `Expected to write ${path}, got: ${messageOf(cause)}`,
      isFull(cause)
        ? 'make room there (df -h)'
        : hasCode(cause, /^EROFS$/)
          ? 'the file system is read-only: findmnt shows its options; change the file where it can be written'
          : 'run it again with sudo',
      { cause },
    );
  }
}

/** One of them. */
export function writeSetting(path: string, keys: readonly string[], value: number | string, comment: string): void {
  writeSettings(path, [{ keys, value, comment }]);
}
