import { randomUUID } from 'node:crypto';
import { closeSync, constants, fchmodSync, fchownSync, fsyncSync, linkSync, lstatSync, openSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { hasCode } from './errors.ts';
import { isPipeOrDevice } from './regular-file.ts';

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Writes a file whole or not at all: beside it, then rename. Sets `mode` whatever the umask. */
export function placeFile(path: string, content: string, mode: number, owner?: Owner): void {
  const beside = writeBeside(path, content, mode, owner);
  try {
    moveFile(beside, path);
  } catch (error) {
    removeFile(beside);
    throw error;
  }
}

/** The same where no file is yet; one that is there stays, and false is returned. */
export function placeNewFile(path: string, content: string, mode: number): boolean {
  const beside = writeBeside(path, content, mode);
  try {
    linkSync(beside, path);
    return true;
  } catch (error) {
    if (!hasCode(error, /^EEXIST$/)) throw error;
    return false;
  } finally {
    removeFile(beside);
    syncFolderOf(path);
  }
}

/**
 * Writes and fsyncs a file under a name of its own beside `path`; returns that name. Leaves nothing if it throws. Mode
 * and owner are given to the file itself, not to its name: by then another user who may write to the folder could have
 * put a link there, and root would give away what it leads to.
 */
export function writeBeside(path: string, content: string, mode: number, owner?: Owner): string {
  // not the process id: in a container a new process may have that of the one before
  const beside = `${path}.${randomUUID()}.tmp`;
  const file = openSync(beside, 'wx', mode); // fails if the file exists: from here on this call may remove it
  try {
    try {
      writeFileSync(file, content); // writeSync may write only a part, without an error
      setRights(file, mode, owner);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    removeFile(beside);
    throw error;
  }
  return beside;
}

/**
 * Gives a file or a folder a mode, and an owner. Throws ELOOP for a link: another user who may write to the folder
 * could have put one there, and root would give away what it leads to.
 */
export function giveRights(path: string, mode: number, owner?: Owner): void {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    setRights(descriptor, mode, owner);
  } finally {
    closeSync(descriptor);
  }
}

function setRights(descriptor: number, mode: number, owner: Owner | undefined): void {
  if (owner) fchownSync(descriptor, owner.uid, owner.gid);
  fchmodSync(descriptor, mode & 0o7777);
}

/** Renames a file or a folder for good. Throws an Error if a pipe or a device, such as /dev/null, is in its place. */
export function moveFile(from: string, to: string): void {
  const there = lstatSync(to, { throwIfNoEntry: false });
  if (there && !there.isSymbolicLink() && isPipeOrDevice(there)) throw new Error('a pipe or a device');
  renameSync(from, to);
  syncFolderOf(to);
}

/** Fsyncs the folder that a file is in, so that a power cut does not undo what was made, renamed or removed there. */
export function syncFolderOf(path: string): void {
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/**
 * Removes a file if it is there. Not rmSync: Node garbles what the system says to that, and a path that has an accent.
 */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!hasCode(error, /^ENOENT$/)) throw error;
  }
}
