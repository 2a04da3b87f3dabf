import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { freePort, startMosquitto } from './broker.ts';
import { openOperator } from './operator.ts';

/** Mosquitto with the files of deploy/mosquitto, with only folder, port and user changed. */
export async function openReferenceBroker() {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-reference-'));
  chmodSync(folder, 0o755);
  const operator = openOperator('City Authority');
  const certs = join(folder, 'certs');
  mkdirSync(certs);
  const { cert, key } = operator.issue('broker.example.org', { usage: 'serverAuth', extensions: ['subjectAltName=IP:127.0.0.1,DNS:broker.example.org'] });
  copyFileSync(operator.ca, join(certs, 'ca.pem'));
  copyFileSync(cert, join(certs, 'broker.pem'));
  copyFileSync(key, join(certs, 'broker.key'));
  const revoked = () => {
    operator.list();
    copyFileSync(operator.crl, join(certs, 'revoked.crl'));
  };
  revoked();
  const port = await freePort();
  const settings = readFileSync('deploy/mosquitto/tocsin.conf', 'utf8')
    .replaceAll('/etc/mosquitto', folder)
    .replace('listener 8883', `listener ${port} 127.0.0.1`);
  writeFileSync(join(folder, 'mosquitto.conf'), `user ${userInfo().username}\n${settings}`);
  writeFileSync(join(folder, 'tocsin.acl'), readFileSync('deploy/mosquitto/tocsin.acl', 'utf8'), { mode: 0o600 });
  const start = () => startMosquitto(join(folder, 'mosquitto.conf'));
  let stop = await start();
  return {
    operator,
    url: `mqtts://127.0.0.1:${port}`,
    /** Writes a new revocation list and restarts the broker to load it, as the configuration says. */
    async takeUpRevocations() {
      revoked();
      await stop();
      stop = await start();
    },
    close: () => stop(),
  };
}
