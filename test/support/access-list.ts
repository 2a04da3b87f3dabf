import koffi from 'koffi';

/**
 * Lets one more user read and write a file through an access list, as `setfacl -m u:UID:rw` does (acl(5); struct
 * posix_acl_xattr_header).
 */
export function allowUser(path: string, uid: number): void {
  const nobody = 0xffffffff;
  const entries = [
    [0x01, 6, nobody], // its owner
    [0x02, 6, uid],
    [0x04, 0, nobody], // its group
    [0x10, 6, nobody], // the upper limit of the list
    [0x20, 0, nobody], // others
  ] as const;
  const list = Buffer.alloc(4 + 8 * entries.length);
  list.writeUInt32LE(2);
  for (const [i, [tag, permissions, id]] of entries.entries()) {
    list.writeUInt16LE(tag, 4 + 8 * i);
    list.writeUInt16LE(permissions, 6 + 8 * i);
    list.writeUInt32LE(id, 8 + 8 * i);
  }
  const setxattr = koffi.load(null).func('int setxattr(const char *path, const char *name, const void *value, size_t size, int flags)');
  if (setxattr(path, 'system.posix_acl_access', list, list.length, 0) !== 0) throw new Error(`no access list on ${path} (errno ${koffi.errno()})`);
}
