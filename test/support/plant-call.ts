// Loaded into the agent by --import: a dependency that calls home, to the address that HOME_ADDRESS names.
// It cannot show what a native library would do past Node's own sockets.
import { connect } from 'node:net';

const [host = '', port] = (process.env.HOME_ADDRESS ?? '').split(':');
connect(Number(port), host).on('error', () => undefined);
