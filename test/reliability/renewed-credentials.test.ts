// A real courier whose credentials are put right, or lost, while it runs.
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { freePort, missing, openMosquitto } from '../support/broker.ts';
import { openAuthority } from '../support/certificates.ts';
import { startHalf } from '../support/half.ts';
import { openMessages } from '../support/messages.ts';

const without = missing('mosquitto', 'mosquitto_passwd', 'openssl');
const soon = (check: () => void) => vi.waitFor(check, { timeout: 60_000, interval: 50 });
const connections = (said: string) => said.split('"msg":"connected"').length - 1;

function startCourier(folder: string, mqtt: object) {
  const path = join(folder, 'tocsin.yaml');
  writeFileSync(path, stringify({ site: 'a', sensor: 'post-1', outbox: { path: join(folder, 'outbox.db') }, mqtt }));
  return startHalf('deliver', path, process.env);
}

describe.skipIf(without)(`credentials that are renewed under a running courier${without ? ` (left out: ${without})` : ''}`, () => {
  test('a password that was wrong is right: the courier connects without a restart', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-renewed-'));
    const [passwords, passwordFile] = [join(folder, 'passwords'), join(folder, 'password')];
    writeFileSync(passwords, '', { mode: 0o600 });
    expect(spawnSync('mosquitto_passwd', ['-b', passwords, 'post-1', 'right']).status).toBe(0);
    const broker = await openMosquitto(folder, await freePort(), undefined, ['allow_anonymous false', `password_file ${passwords}`]);
    onTestFinished(() => broker.close());
    writeFileSync(passwordFile, 'ri');
    const courier = startCourier(folder, { url: broker.url, username: 'post-1', passwordFile });
    await soon(() => expect(courier.said()).toContain('"fault":"login_refused"'));
    writeFileSync(passwordFile, 'right');
    await soon(() => expect(connections(courier.said()), courier.said()).toBe(1));
  });

  test('a certificate and an authority that are renewed, half written at first and then gone: each is taken once it is whole, none is lost, and health says until when', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-renewed-'));
    const authority = openAuthority(folder, 'authority');
    const [own, ended, local] = [authority.issue('post-1', 30), authority.issue('post-1', -1), authority.issue('localhost', 30)];
    const lines = [`cafile ${authority.ca}`, `certfile ${local.cert}`, `keyfile ${local.key}`, 'require_certificate true', 'use_identity_as_username true'];
    const platform = authority.issue('platform', 30);
    const port = await freePort();
    const url = `mqtts://localhost:${port}`;
    let broker = await openMosquitto(folder, port, undefined, lines);
    onTestFinished(() => broker.close());
    const files = { caFile: join(folder, 'ca'), certFile: join(folder, 'cert'), keyFile: join(folder, 'key') };
    copyFileSync(authority.ended(), files.caFile);
    copyFileSync(ended.cert, files.certFile);
    copyFileSync(ended.key, files.keyFile);
    const courier = startCourier(folder, { url, ...files });
    await soon(() => expect(courier.said()).toContain('"fault":"broker_expired"'));
    copyFileSync(authority.ca, files.caFile);
    await soon(() => expect(courier.said()).toContain('"fault":"certificate_refused"'));
    copyFileSync(own.key, files.keyFile);
    writeFileSync(files.certFile, readFileSync(own.cert).subarray(0, 200));
    await soon(() => expect(courier.said()).toContain('"fault":"other"')); // no certificate: nothing is sent, and the courier goes on
    copyFileSync(own.cert, files.certFile);
    await soon(() => expect(connections(courier.said()), courier.said()).toBe(1));
    const [ca, cert, key] = [authority.ca, platform.cert, platform.key].map((path) => readFileSync(path)) as [Buffer, Buffer, Buffer];
    const seen = await openMessages(url, { ca, cert, key });
    await seen.until(() => seen.messages.some(({ topic }) => topic.endsWith('/health')));
    await seen.close();
    const health = JSON.parse(seen.messages.find(({ topic }) => topic.endsWith('/health'))?.text ?? '');
    expect(Date.parse(health.link.certificateUntil)).toBe(Date.parse(new X509Certificate(readFileSync(own.cert)).validTo));
    for (const path of Object.values(files)) rmSync(path);
    await broker.close();
    broker = await openMosquitto(folder, port, undefined, lines);
    await soon(() => expect(connections(courier.said()), courier.said()).toBe(2));
  });
});
