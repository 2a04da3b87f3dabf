// Loaded into the agent by --import: a dependency that connects to the address in HOME_ADDRESS. It cannot show what a
// native library would do without Node's sockets.
import { connect } from 'node:net';

const [host = '', port] = (process.env.HOME_ADDRESS ?? '').split(':');
connect(Number(port), host).on('error', () => undefined);
