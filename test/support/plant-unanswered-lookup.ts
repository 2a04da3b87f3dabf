// Loaded into the courier by --import: the look-up of a name is never answered and keeps the process alive, as the
// resolver of the system may. It cannot show what the resolver's own threads do.
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';

Object.assign(dns, {
  lookup(name: string) {
    setInterval(() => undefined, 1e6);
    process.stderr.write(`looked up ${name}\n`);
  },
});
syncBuiltinESMExports();
