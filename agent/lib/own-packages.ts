// Imported for its effect, before anything else. Node looks for a package in the folders above the installation too, in
// /usr/lib/node_modules and $HOME/.node_modules among others. Some packages ask for others that are not shipped (ws for
// bufferutil): what was found there would run, and no list of the package's files would show it.
import { realpathSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

const packages = pathToFileURL(`${realpathSync(fileURLToPath(new URL('../../node_modules', import.meta.url)))}/`).href;
const isPath = /^(\.|\/|[a-z]+:)/;

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    if (isPath.test(specifier) || !found.url.startsWith('file:') || found.url.startsWith(packages)) return found;
    throw Object.assign(new Error(`Expected ${specifier} among the agent's own packages, got ${found.url}`), { code: 'MODULE_NOT_FOUND' });
  },
});
