import { chmodSync, chownSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { parseDocument, Scalar } from 'yaml';
import { ConfigError, messageOf } from '../lib/errors.ts';
import { checkConfig } from './load-config.ts';

/**
 * Writes one value into a configuration file, with a comment behind it. All else in the file stays as it is, comments too; the
 * result is checked before it takes the file's place, in one step and with its owner and mode.
 */
export function writeSetting(path: string, keys: readonly string[], value: number | string, comment: string): void {
  const document = parseDocument(readFileSync(path, 'utf8'));
  const scalar = new Scalar(value);
  scalar.comment = ` ${comment}`;
  document.setIn(keys, scalar);
  const text = document.toString({ lineWidth: 0 });
  checkConfig(parseDocument(text).toJS(), path);
  const beside = `${path}.new`;
  try {
    const { mode, uid, gid } = statSync(path);
    writeFileSync(beside, text, { mode });
    chmodSync(beside, mode);
    chownSync(beside, uid, gid);
    renameSync(beside, path);
  } catch (cause) {
    rmSync(beside, { force: true });
    throw new ConfigError(`Expected to write ${path}, got: ${messageOf(cause)}`, 'run it again with sudo', { cause });
  }
}
