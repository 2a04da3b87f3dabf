import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { bootContainer, type Container, withoutContainer } from '../support/container.ts';
import { versions } from '../support/older-outbox.ts';
import { type Operator, openOperator, supply } from '../support/operator.ts';
import { buildPackage, repack, thisArchitecture } from '../support/package.ts';
import { triesInPlaceOfTheHalves } from '../support/replaced.ts';
import { openStreet, type Street } from '../support/street.ts';
import { withoutSystemTests } from '../support/system.ts';

const without =
  process.getuid?.() === 0
    ? (withoutSystemTests('dpkg-deb', 'systemd-nspawn', 'mmdebstrap', 'nsenter', 'openssl', 'gcc') ?? withoutContainer())
    : 'needs root for systemd-nspawn';

// One sensor from installation to removal, in a real systemd: each test begins where the previous one ended.
describe.skipIf(without)(`the life of a sensor in Debian 13${without ? ` (left out: ${without})` : ''}`, { timeout: 400_000 }, () => {
  let share: string;
  let box: Container;
  let street: Street;
  let operator: Operator;
  beforeAll(async () => {
    share = mkdtempSync(join(tmpdir(), 'tocsin-share-'));
    operator = openOperator('City Authority');
    supply(operator, share);
    const files: [string, string][] = [
      ['deploy/mosquitto/tocsin.conf', 'tocsin.conf'],
      ['deploy/mosquitto/tocsin.acl', 'tocsin.acl'],
      ['deploy/selftest.wav', 'sound.wav'],
      [buildPackage(thisArchitecture), 'first.deb'],
    ];
    for (const [from, to] of files) copyFileSync(from, join(share, to));
    repack(share, 'second', (preinst) => preinst);
    repack(share, 'third', (preinst) => preinst.replaceAll(`-gt ${versions} `, `-gt ${versions - 1} `)); // a release without the last migration
    execFileSync('gcc', ['-O1', '-static', '-o', join(share, 'descriptor'), 'test/support/descriptor.c']);
    street = openStreet();
    box = await bootContainer(share, street.folder);
  }, 600_000);
  afterAll(async () => {
    await box?.close();
    street?.close();
  });

  function sh(script: string): string {
    const { status, stdout, stderr } = box.sh(script);
    if (status !== 0)
      throw new Error(`exit ${status} from ${script}: ${stderr}${stdout}\n${box.sh('journalctl -n 25 --no-pager -o cat -u "tocsin-*"').stdout}`);
    return stdout.trim();
  }
  async function until(what: string, condition: () => boolean, seconds = 180): Promise<void> {
    for (const began = performance.now(); !condition(); await new Promise((r) => setTimeout(r, 500)))
      if (performance.now() - began > seconds * 1000)
        throw new Error(
          `waited ${seconds} s in vain for ${what}\n${box.sh('systemctl status --no-pager -n 15 "tocsin-*" mosquitto; tail -5 /srv/received').stdout}`,
        );
  }
  const show = (unit: string, property: string) => sh(`systemctl show -p ${property} --value ${unit}`);
  const active = (unit: string) => box.sh(`systemctl is-active ${unit}`).stdout.trim();
  const pending = () => Number(sh("sqlite3 -readonly /var/lib/tocsin/outbox.db 'SELECT count(*) FROM event'")); // `tocsin status` would take resources from the sensor
  const received = () => {
    const lines = box.sh('cat /srv/received').stdout.trim().split('\n').filter(Boolean);
    return lines.flatMap((line) => (/^\S+\/event /.test(line) ? [JSON.parse(line.slice(line.indexOf(' '))) as { id: string; data: { label: string } }] : []));
  };
  /** Plays sound until the platform has received a new event. */
  async function anEventArrives(label?: string): Promise<void> {
    const before = new Set(received().map(({ id }) => id));
    const isNew = (event: ReturnType<typeof received>[number]) => !before.has(event.id) && (label === undefined || event.data.label === label);
    street.play(true);
    await until(`an event ${label ?? ''} at the platform`, () => received().some(isNew));
    street.play(false);
  }
  const halves = ['listener', 'courier'] as const;
  const broker = () => JSON.parse(sh('tocsin status --json')).broker;

  test('after installation users, folders and units exist, the units wait for a configuration, and the output says what to do', () => {
    const said = sh('apt-get install -y --no-install-recommends /mnt/first.deb 2>&1');
    expect(said).toContain('tocsin provision');
    expect(said).not.toMatch(/warning|error|not a valid/i);
    const begin = /install .*\/etc\/tocsin\/\S*/.exec(said)?.[0];
    sh(
      `set -e; umask 077; ${begin}; for half in listener courier; do runuser -u tocsin-$half -- cat /etc/tocsin/tocsin.yaml; done; rm /etc/tocsin/tocsin.yaml`,
    );
    expect(sh('id -nG tocsin-listener; id -nG tocsin-courier')).toBe('tocsin-listener tocsin tocsin-meter\ntocsin-courier tocsin');
    expect(sh('stat -c "%a %U:%G %n" /etc/tocsin /etc/tocsin/credentials /var/lib/tocsin /var/lib/tocsin-courier')).toBe(
      '755 root:root /etc/tocsin\n700 root:root /etc/tocsin/credentials\n2770 root:tocsin /var/lib/tocsin\n700 tocsin-courier:tocsin /var/lib/tocsin-courier',
    );
    expect(sh('systemctl is-enabled tocsin.target')).toBe('enabled');
    sh('systemctl start tocsin.target');
    for (const half of halves) expect(active(`tocsin-${half}`)).toBe('inactive');
    expect(sh('systemctl --failed --quiet --no-legend')).toBe('');
    expect(
      sh(
        'cd / && md5sum -c --quiet /var/lib/dpkg/info/tocsin.md5sums && systemd-analyze verify tocsin.target 2>&1 && udevadm verify /usr/lib/udev/rules.d/71-tocsin.rules',
      ),
    ).toContain('Success');
    expect(sh('bash -n /usr/share/bash-completion/completions/tocsin && tocsin --version')).toMatch(/^\d/);
  });

  test('`provision` makes a key and installs the certificate that the operator signed', () => {
    const mqtt = { url: 'mqtts://broker.example.org:8883', caFile: 'ca.pem', certFile: 'sensor.pem', keyFile: 'sensor.key' };
    const settings = { site: 'old-port', sensor: 'lamp-post-12', microphone: { device: 'street' }, mqtt, health: { intervalSeconds: 5 } };
    writeFileSync(join(share, 'tocsin.yaml'), stringify(settings));
    sh('install -m 640 -g tocsin /mnt/tocsin.yaml /etc/tocsin/ && tocsin config check');
    copyFileSync(operator.sign(sh('tocsin provision 2>/dev/null')), join(share, 'sensor.pem'));
    sh('tocsin provision --install /mnt/sensor.pem --ca /mnt/ca.pem');
    expect(sh('stat -c "%a %U %n" /etc/tocsin/credentials/*')).toMatch(/^600 root \S+\/ca.pem\n600 root \S+\/sensor.key\n600 root \S+\/sensor.pem$/);
  });

  test('after the start both services are active, and an event reaches the platform over TLS with certificates', async () => {
    sh(`echo 'pcm.street { type plug slave { pcm { type file slave.pcm { type null } file /dev/null infile /srv/street/pcm format raw } channels 1 } }' >/etc/asound.conf
      echo '127.0.0.1 broker.example.org' >>/etc/hosts
      install -d -o mosquitto -m 700 /etc/mosquitto/certs
      for f in ca.pem broker.pem broker.key revoked.crl; do install -o mosquitto -m 600 /mnt/$f /etc/mosquitto/certs/; done
      install -o mosquitto -m 600 /mnt/tocsin.acl /etc/mosquitto/; cp /mnt/tocsin.conf /etc/mosquitto/conf.d/
      systemctl restart mosquitto
      systemd-run -q --unit=platform -p Restart=always -p RestartSec=1 -p StartLimitIntervalSec=0 -p StandardOutput=append:/srv/received \
        mosquitto_sub -h broker.example.org -p 8883 -V 5 --cafile /mnt/ca.pem --cert /mnt/platform.pem --key /mnt/platform.key -i platform -c -q 1 -t 'tocsin/v1/#' -F '%t %p'
      systemctl start tocsin.target`);
    for (const half of halves) await until(`the ${half} to say that it is up`, () => active(`tocsin-${half}`) === 'active');
    await until('the listener to hear', () => box.sh('journalctl --no-pager -o cat -u tocsin-listener').stdout.includes('"msg":"hearing"'));
    await anEventArrives('glass_break');
    expect(broker()).toBe('connected');
    expect(sh('stat -c "%a %U:%G" /var/lib/tocsin/outbox.db')).toMatch(/^660 tocsin-(listener|courier):tocsin$/);
    expect(sh('stat -c "%a %U %n" /var/lib/tocsin-courier/*')).toBe('600 tocsin-courier /var/lib/tocsin-courier/notes.json');
    expect(sh('ss -Htln | grep -v 127.0.0.1:1883 | grep -v :8883 || true')).toBe(''); // the sensor itself listens on no port
  });

  function verified(more = '') {
    const { stdout, status } = box.sh(`tocsin privacy verify --json ${more}`);
    const { checks } = JSON.parse(stdout) as { checks: { check: string; part: string; state: string; found: string }[] };
    return { status, not: (state: string) => checks.filter((line) => line.state === state).map(({ check, part, found }) => `${part} ${check}: ${found}`) };
  }

  test('a member of the meter group can use `meter`, and gets a hint to use sudo for `status`', () => {
    sh('useradd -m -G tocsin-meter technician');
    expect(sh("su technician -c 'tocsin meter --lines --seconds 2'")).toMatch(/-?\d+ dBFS .*breaking glass/);
    expect(box.sh("su technician -c 'tocsin status'")).toMatchObject({ status: 3, stderr: expect.stringContaining('Try: run it again with sudo') });
  });

  test('`doctor` names the reason why the listener does not start, here a model that only root can read', async () => {
    sh('cp -r /usr/lib/tocsin/models/street /home/technician/');
    box.sh("echo 'model: { path: /home/technician/street }' >>/etc/tocsin/tocsin.yaml; systemctl restart tocsin-listener"); // ends with exit code 1
    const { checks } = JSON.parse(box.sh('tocsin doctor --json').stdout) as { checks: { check: string; state: string; found: string }[] };
    sh("sed -i '$d' /etc/tocsin/tocsin.yaml && systemctl restart tocsin.target");
    const told = checks.flatMap(({ check, state, found }) => (/^(model|services)$/.test(check) ? [`${check} ${state}: ${found}`] : []));
    expect(told).toEqual([expect.stringMatching(/^model pass/), expect.stringMatching(/^services fail: tocsin-listener.*; its last error: .*\/home\/tech/)]);
  });

  test('`privacy verify` passes on the running sensor', () => {
    sh('tocsin privacy manifest >/etc/tocsin/privacy-manifest.json');
    const { not, status } = verified();
    expect(not('fail')).toEqual([]);
    // the host's control groups may not delegate the memory controller
    expect(not('unchecked').filter((line) => !/ limits:/.test(line))).toEqual([]);
    expect(status).toBe(not('unchecked').length > 0 ? 9 : 0);
  });

  test('`privacy verify` fails with a drop-in that loosens the listener; after its removal it is unchecked until a restart', () => {
    const dropIn = '/run/systemd/system/tocsin-listener.service.d';
    sh(
      `mkdir -p ${dropIn} && printf '[Service]\\nSystemCallFilter=\\nMemorySwapMax=infinity\\nLogRateLimitIntervalSec=0\\n' >${dropIn}/loose.conf && systemctl daemon-reload && systemctl restart tocsin-listener`,
    );
    const { not, status } = verified('--no-record');
    sh(`rm -r ${dropIn} && systemctl daemon-reload`);
    const after = verified('--no-record');
    sh('systemctl restart tocsin.target');
    expect(status).toBe(8);
    expect(not('fail')).toContainEqual(
      expect.stringMatching(/^listener unit: (?=.*MemorySwapMax=infinity \(0\))(?=.*LogRateLimitIntervalSec=0 \(-\)).*SystemCallFilter=/),
    );
    // the other filters of the unit remain; io_uring and swap are seen only where the host has them
    expect(not('fail').filter((line) => !/^listener (unit|seccomp|swap):/.test(line))).toEqual([]);
    for (const half of halves) expect(after.not('unchecked')).toContainEqual(expect.stringMatching(`^${half} unit: .*systemctl restart`));
  });

  test('`commission` leaves a report without failures, with signatures that openssl verifies', () => {
    sh(`ip link add street0 type veth peer name street1 && ip addr add 192.0.2.12/24 dev street0 && ip link set street0 up && ip link set street1 up
      sed s:/pcm:/pcm-beside: /etc/asound.conf >/root/.asoundrc`); // a card has room for one program; root hears the pipe beside it
    street.play(true);
    const { stdout, status } = box.sh('mkdir /srv/file && tocsin commission --out /srv/file --json');
    street.play(false);
    type Stage = { check: string; part?: string; state: string; found: string };
    const { verdict, doctor, selftest, privacy } = JSON.parse(stdout) as { verdict: string; doctor: Stage[]; selftest: object; privacy: { checks: Stage[] } };
    const failed = [...doctor, ...privacy.checks].filter(({ state }) => state === 'fail').map(({ check, part = '', found }) => `${part} ${check}: ${found}`);
    expect(failed).toEqual([]);
    expect(selftest).toMatchObject({ ok: true, sound: 'person' });
    const whole = privacy.checks.every(({ state }) => state === 'pass');
    expect([status, verdict]).toEqual(whole ? [0, 'accepted'] : [9, 'incomplete']); // `incomplete` only because of the control groups, see above
    const checks = ['json', 'html'].map((kind) => `openssl dgst -sha256 -verify sensor.pub -signature report.${kind}.sig report.${kind}`);
    expect(sh(`cd /srv/file/commission-* && openssl verify -CAfile /mnt/ca.pem sensor.pem && ${checks.join(' && ')}`)).toBe(
      'sensor.pem: OK\nVerified OK\nVerified OK',
    );
  });

  test.each(halves)('the %s restarts after kill -9, and events arrive again', async (half) => {
    const before = show(`tocsin-${half}`, 'MainPID');
    sh(`kill -9 ${before}`);
    await until('another process', () => active(`tocsin-${half}`) === 'active' && !['0', before].includes(show(`tocsin-${half}`, 'MainPID')));
    await anEventArrives();
  });

  test('the watchdog ends and restarts each hung process', async () => {
    // the courier's real 90 s would only lengthen the test; the listener's 30 s are those of its unit
    sh('mkdir -p /run/systemd/system/tocsin-courier.service.d; printf "[Service]\\nWatchdogSec=20\\n" >/run/systemd/system/tocsin-courier.service.d/test.conf');
    sh('systemctl daemon-reload; systemctl restart tocsin-courier');
    await until('the courier', () => active('tocsin-courier') === 'active');
    const before = halves.map((half) => show(`tocsin-${half}`, 'MainPID'));
    sh(`kill -STOP ${before.join(' ')}`);
    for (const [i, half] of halves.entries())
      await until(
        `the watchdog of the ${half}`,
        () => active(`tocsin-${half}`) === 'active' && !['0', before[i]].includes(show(`tocsin-${half}`, 'MainPID')),
        120,
      );
    expect(sh('journalctl --no-pager -o cat -u tocsin-listener -u tocsin-courier').match(/Watchdog timeout/g)?.length).toBeGreaterThanOrEqual(2);
    await anEventArrives();
    sh('rm -r /run/systemd/system/tocsin-courier.service.d; systemctl daemon-reload');
  });

  test('programs in place of the halves cannot do what would let sound pass from one to the other', async () => {
    for (const [what, said] of Object.entries(await triesInPlaceOfTheHalves(box))) expect(said, what).toMatch(/: (Operation not permitted|Permission denied)$/);
    await anEventArrives();
  });

  test('an upgrade keeps configuration, key and pending events, and starts the new version', async () => {
    sh('systemctl stop mosquitto');
    street.play(true);
    await until('an event that waits', () => pending() > 0);
    expect(broker()).toMatch(/^(unreachable|connection_lost)$/);
    street.play(false);
    sh('echo "# mine" >>/etc/tocsin/tocsin.yaml');
    const [kept, waiting] = [sh('sha256sum /etc/tocsin/tocsin.yaml /etc/tocsin/credentials/*'), pending()];
    const before = halves.map((half) => show(`tocsin-${half}`, 'MainPID'));
    sh('apt-get install -y --no-install-recommends /mnt/second.deb 2>&1');
    expect(sh('dpkg-query -W tocsin')).toBe('tocsin\t0.1.0+second');
    for (const [i, half] of halves.entries()) {
      await until(`the new ${half}`, () => active(`tocsin-${half}`) === 'active');
      expect(show(`tocsin-${half}`, 'MainPID')).not.toBe(before[i]);
    }
    expect(sh('sha256sum /etc/tocsin/tocsin.yaml /etc/tocsin/credentials/*')).toBe(kept);
    expect(pending()).toBeGreaterThanOrEqual(waiting);
    const had = new Set(received().map(({ id }) => id)).size;
    sh('systemctl start mosquitto');
    await until('the backlog at the platform', () => new Set(received().map(({ id }) => id)).size >= had + waiting && pending() === 0);
  });

  test('an upgrade does not start services that a person has stopped', () => {
    sh('systemctl stop tocsin.target; apt-get install -y --reinstall --no-install-recommends /mnt/second.deb 2>&1');
    for (const half of halves) expect(active(`tocsin-${half}`)).toBe('inactive');
    sh('systemctl start tocsin.target');
    for (const half of halves) expect(active(`tocsin-${half}`)).toBe('active');
  });

  const pids = () => halves.map((half) => show(`tocsin-${half}`, 'MainPID'));
  const install = (file: string) => box.sh(`apt-get install -y --reinstall --no-install-recommends /mnt/${file} 2>&1`);

  test('an upgrade restarts services that a person started without enabling the target', () => {
    const before = pids();
    sh('systemctl disable tocsin.target');
    expect(install('second.deb').status).toBe(0);
    expect(pids().filter((pid) => pid === '0' || before.includes(pid))).toEqual([]);
    sh('systemctl enable tocsin.target');
  });

  test('an earlier release that cannot use the outbox is not installed, and both services continue', () => {
    const before = pids();
    expect(install('third.deb')).toMatchObject({ status: 100, stdout: expect.stringContaining('Try: keep the later release') });
    expect(sh('dpkg-query -W tocsin; dpkg --audit')).toBe('tocsin\t0.1.0+second');
    expect(pids()).toEqual(before);
  });

  test('after removal and reinstallation the services run again', async () => {
    sh('apt-get remove -y tocsin 2>&1');
    expect(install('second.deb').status).toBe(0);
    for (const half of halves) await until(`the ${half}`, () => active(`tocsin-${half}`) === 'active');
    await anEventArrives();
  });

  test("removal stops the services and keeps the operator's files; purge leaves nothing", () => {
    sh('apt-get remove -y tocsin 2>&1');
    expect(sh('ps -eo args | grep -c "[t]ocsin/agent" || true')).toBe('0');
    sh('test -s /etc/tocsin/tocsin.yaml && test -s /etc/tocsin/credentials/sensor.key && test -e /var/lib/tocsin/outbox.db');
    sh('mount --bind /var/lib/tocsin /var/lib/tocsin && mv /etc/tocsin /srv/settings && ln -s /srv/settings /etc/tocsin'); // a separate partition, and a symbolic link
    sh('apt-get purge -y tocsin 2>&1');
    sh('umount /var/lib/tocsin && rmdir /var/lib/tocsin /srv/settings'); // both are empty
    // except the logs of apt and dpkg, the journal, and the files of this test
    const left = sh(
      'find / /run -xdev \\( -path /proc -o -path /sys -o -path /mnt -o -path /var/log -o -path /tmp \\) -prune -o -iname "*tocsin*" -print',
    ).split('\n');
    expect(left.filter((path) => !/^$|^\/etc\/mosquitto\//.test(path))).toEqual([]);
    expect(sh('getent passwd tocsin-listener tocsin-courier; getent group tocsin tocsin-meter tocsin-listener tocsin-courier; true')).toBe('');
    expect(sh('systemctl list-unit-files --no-legend "tocsin*"; systemctl --failed --quiet --no-legend')).toBe('');
    expect(box.sh('dpkg-query -W tocsin').stderr).toContain('no packages found');
  });
});
