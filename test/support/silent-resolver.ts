// Loaded by --import into a process that has a network of its own: the name server of that network, which takes each
// question and answers none. The look-up itself is that of the system.
import { createSocket } from 'node:dgram';

const server = createSocket('udp4', () => process.stderr.write('asked\n'));
server.bind(53, '127.0.0.1').unref();
