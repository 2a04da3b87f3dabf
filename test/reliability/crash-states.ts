// Computes the states in which a disk may be after a power cut, from a recorded trace of changes (see
// record-writes.c).
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Change {
  op: 'C' | 'W' | 'T' | 'S' | 'U' | 'R';
  name: string;
  offset: number;
  data: Buffer;
}

export function readTrace(bytes: Buffer): Change[] {
  const changes: Change[] = [];
  for (let at = 0; at < bytes.length; ) {
    const op = String.fromCharCode(bytes.readUInt8(at)) as Change['op'];
    const size = bytes.readUInt16LE(at + 1);
    const name = bytes.toString('utf8', at + 3, at + 3 + size);
    const head = at + 3 + size;
    const length = bytes.readUInt32LE(head + 8);
    changes.push({ op, name, offset: Number(bytes.readBigUInt64LE(head)), data: bytes.subarray(head + 12, head + 12 + length) });
    at = head + 12 + length;
  }
  return changes;
}

type DataChange = { inode: number; offset: number; data: Buffer | undefined };
type NameChange = { name: string; inode: number | undefined };
export type Files = Map<string, Buffer>;

/**
 * A disk on which only synced data is certain. File data is synced by a sync of the file, names by a sync of the
 * folder (stricter than ext4, which writes names along with the file). Names change in order; unsynced data may reach
 * the disk in any order, in part, or not at all.
 */
export class Disk {
  #next = 1;
  #live = new Map<string, number>();
  #names = new Map<string, number>();
  #data = new Map<number, Content>();
  #unsyncedData: DataChange[] = [];
  #unsyncedNames: NameChange[] = [];

  get unsynced(): number {
    return this.#unsyncedData.length + this.#unsyncedNames.length;
  }

  apply({ op, name, offset, data }: Change): void {
    const inode = this.#live.get(name);
    if (op === 'C') this.#rename({ name, inode: this.#next++ });
    else if (op === 'U') this.#rename({ name, inode: undefined });
    else if (op === 'R') {
      this.#rename({ name: data.toString('utf8'), inode });
      this.#rename({ name, inode: undefined });
    } else if (op === 'S' && name === '') {
      for (const change of this.#unsyncedNames.splice(0)) setName(this.#names, change);
    } else if (op === 'S') {
      for (const change of this.#unsyncedData) if (change.inode === inode) this.#content(change.inode).apply(change);
      this.#unsyncedData = this.#unsyncedData.filter((change) => change.inode !== inode);
    } else if (inode !== undefined) this.#unsyncedData.push({ inode, offset, data: op === 'W' ? data : undefined });
  }

  /**
   * The files after a crash at this point. `keep` gives for each unsynced data change the part that was written, from
   * 0 to 1.
   */
  crash(keep: (index: number, count: number) => number, keepNames: number): Files {
    const changed = new Map<number, Content>();
    const names = new Map(this.#names);
    this.#unsyncedData.forEach((change, index) => {
      const part = keep(index, this.#unsyncedData.length);
      if (part <= 0) return;
      const content = changed.get(change.inode) ?? new Content(this.#data.get(change.inode));
      changed.set(change.inode, content);
      content.apply(change.data && part < 1 ? { ...change, data: change.data.subarray(0, Math.floor(change.data.length * part)) } : change);
    });
    for (const change of this.#unsyncedNames.slice(0, Math.round(keepNames * this.#unsyncedNames.length))) setName(names, change);
    const bytes = (content?: Content) => content?.bytes.subarray(0, content.length) ?? Buffer.alloc(0);
    return new Map([...names].map(([name, inode]) => [name, bytes(changed.get(inode) ?? this.#data.get(inode))]));
  }

  #content(inode: number): Content {
    const content = this.#data.get(inode) ?? new Content();
    this.#data.set(inode, content);
    return content;
  }

  #rename(change: NameChange): void {
    setName(this.#live, change);
    this.#unsyncedNames.push(change);
  }
}

function setName(names: Map<string, number>, { name, inode }: NameChange): void {
  if (inode === undefined) names.delete(name);
  else names.set(name, inode);
}

/** The bytes of a file with spare room, so that a write does not copy the file. */
class Content {
  bytes: Buffer;
  length: number;

  constructor(of?: Content) {
    this.bytes = of ? Buffer.from(of.bytes.subarray(0, of.length)) : Buffer.alloc(4096);
    this.length = of?.length ?? 0;
  }

  apply({ offset, data }: DataChange): void {
    const length = data === undefined ? offset : Math.max(this.length, offset + data.length);
    if (length > this.bytes.length) {
      const grown = Buffer.alloc(length * 2);
      this.bytes.copy(grown, 0, 0, this.length);
      this.bytes = grown;
    }
    if (length < this.length) this.bytes.fill(0, length, this.length);
    data?.copy(this.bytes, offset);
    this.length = length;
  }
}

/**
 * The replayed kinds of crash after this change: everything written, only synced data, the last write torn, any parts
 * in any order.
 */
export function crashesOf(disk: Disk, random: () => number): { kind: string; files: Files }[] {
  const states = [{ kind: 'prefix', files: disk.crash(() => 1, 1) }];
  if (disk.unsynced === 0) return states;
  const torn = random();
  states.push({ kind: 'synced only', files: disk.crash(() => 0, 0) });
  states.push({ kind: 'torn', files: disk.crash((index, count) => (index === count - 1 ? torn : 1), 1) });
  for (let i = 0; i < 2; i++) states.push({ kind: 'reordered', files: disk.crash(() => (random() < 0.4 ? 0 : random() < 0.3 ? random() : 1), random()) });
  return states;
}

export function writeFiles(folder: string, files: Files): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, data] of files) if (!name.endsWith('-shm')) writeFileSync(join(folder, name), data);
}
