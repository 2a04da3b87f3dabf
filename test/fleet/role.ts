// The Ansible role from its first application to a renewal, over SSH, on two sensors with their own systemd and a
// broker that requires certificates: npm run fleet [-- FOLDER with tocsin_0.1.0+1_ARCH.deb and
// tocsin_0.1.0+2_ARCH.deb]. Takes some minutes; needs root.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { oneFolderForThisCommand } from '../support/one-temporary-folder.ts';
import { buildPackage, thisArchitecture } from '../support/package.ts';
import { openReport, until } from '../support/report.ts';
import { openTown, type SensorMachine } from './town.ts';

const [first, second, broken, back] = ['0.1.0+1', '0.1.0+2', '0.1.0+3', '0.1.0+4'] as const;
const names = ['lamp-post-1', 'lamp-post-2'] as const;
const { say, check, end } = openReport();
oneFolderForThisCommand();
const town = await openTown(names);
const { office, operator, sensors } = town;

/** Applies the role. Returns the numbers of changed and failed tasks of each sensor. */
function apply(...options: string[]): Record<string, { changed: number; failed: number }> {
  const { said } = office.attempt(`su - office -c 'cd ansible && ANSIBLE_NOCOLOR=1 ansible-playbook -i fleet.ini site.yml ${options.join(' ')}'`, 600_000);
  say(`\n$ ansible-playbook -i fleet.ini site.yml ${options.join(' ')}`);
  const recap = [...said.matchAll(/^(\S+?)\.example\.org +: (ok=\d+ +changed=(\d+) +unreachable=\d+ +failed=(\d+).*)$/gm)];
  for (const [, name, figures] of recap) say(`  ${name}: ${figures}`);
  for (const fault of said.match(/^(fatal|changed): .*$|^\[(ERROR|WARNING)\].*$/gm) ?? []) say(`  ${fault.slice(0, 300)}`);
  if (recap.length === 0) say(said);
  return Object.fromEntries(recap.map(([, name, , changed, failed]) => [name, { changed: Number(changed), failed: Number(failed) }]));
}
const nothing = Object.fromEntries(names.map((name) => [name, { changed: 0, failed: 0 }]));
const failures = (recap: ReturnType<typeof apply>) => Object.fromEntries(Object.entries(recap).map(([name, { failed }]) => [name, failed]));
const none = Object.fromEntries(names.map((name) => [name, 0]));
const each = <T>(look: (sensor: SensorMachine) => T) => Object.fromEntries(sensors.map((sensor) => [sensor.name, look(sensor)]));
const all = <T>(value: T) => Object.fromEntries(names.map((name) => [name, value]));

const active = (sensor: SensorMachine) => sensor.attempt('systemctl is-active tocsin-listener tocsin-courier').said.replace('\n', ' ');
const pids = (sensor: SensorMachine) => sensor.run('systemctl show -P MainPID tocsin-listener tocsin-courier').replaceAll(/\s+/g, ' ');
const credentials = (sensor: SensorMachine) => sensor.run('cd /etc/tocsin/credentials && sha256sum ca.pem sensor.key sensor.pem');
const installed = (sensor: SensorMachine) => sensor.run('dpkg-query -W tocsin').split('\t')[1];
const request = (name: string) => office.attempt(`cat /home/office/ansible/requests/${name}.csr`).said;
const received = (name: string) => office.attempt(`grep -c '^tocsin/v1/old-port/${name}/' /srv/received`).said;

/** The second package under a later version, with another start of the agent. */
function repack(version: string, change: (main: string) => string): void {
  const [folder, file] = [mkdtempSync(join(tmpdir(), 'tocsin-repack-')), (name: string) => join(town.share, `tocsin_${name}_${thisArchitecture}.deb`)];
  execFileSync('dpkg-deb', ['-R', file(second), folder]);
  const [control, main] = [join(folder, 'DEBIAN/control'), join(folder, 'usr/lib/tocsin/agent/main.ts')];
  writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: .*$/m, `Version: ${version}`));
  writeFileSync(main, change(readFileSync(main, 'utf8')));
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zzstd', '-z1', '-b', folder, file(version)], { stdio: ['ignore', 'ignore', 'inherit'] });
  rmSync(folder, { recursive: true });
}

/** Signs the request of a sensor, and puts the certificate where the role looks for it. */
function answer(name: string, wishes: Parameters<typeof operator.sign>[1] = {}): void {
  mkdirSync(join(town.share, 'certificates'), { recursive: true });
  copyFileSync(operator.sign(request(name), wishes), join(town.share, 'certificates', `${name}.pem`));
  copyFileSync(operator.ca, join(town.share, 'certificates/ca.pem'));
  office.run('rm -rf /home/office/ansible/certificates; cp -r /mnt/certificates /home/office/ansible/');
}

try {
  const folder = process.argv[2];
  for (const version of [first, second]) {
    const name = `tocsin_${version}_${thisArchitecture}.deb`;
    copyFileSync(folder === undefined ? buildPackage(thisArchitecture, '.', version) : join(folder, name), join(town.share, name));
  }
  const lines = names.map((name) => `${name}.example.org tocsin_site=old-port tocsin_sensor=${name} tocsin_microphone=street`);
  const shared = ['tocsin_broker=mqtts://broker.example.org:8883', 'tocsin_packages=/mnt', `tocsin_version=${first}`, 'tocsin_health_interval_seconds=5'];
  writeFileSync(join(town.share, 'fleet.ini'), ['[sensors]', ...lines, '', '[sensors:vars]', ...shared, ''].join('\n'));
  office.run('cp /mnt/fleet.ini /home/office/ansible/');

  check('the first application succeeds', failures(apply()), none);
  check('a request of each sensor is here', all(true), Object.fromEntries(names.map((name) => [name, request(name).includes('CERTIFICATE REQUEST')])));
  check('nothing runs before there is a certificate', each(active), all('inactive inactive'));
  check('applied again before it is signed: nothing changes', apply(), nothing);

  for (const name of names) answer(name);
  check('with the certificates it succeeds', failures(apply()), none);
  check('and both halves run', each(active), all('active active'));
  await until('both sensors at the broker', () => names.every((name) => Number(received(name)) > 0));
  say(`ok   the platform hears of ${names.join(' and ')}`);
  const running = each(pids);
  check('applied again: nothing changes', apply(), nothing);
  check('and nothing was restarted', each(pids), running);

  const [old, oldRequests] = [each(credentials), names.map(request)];
  check('asked to renew it succeeds', failures(apply('-e', 'tocsin_renew=true')), none);
  check(
    'there are new requests',
    names.map((name, i) => request(name) !== oldRequests[i]),
    [true, true],
  );
  check('what is in force is in force still', [each(credentials), each(pids)], [old, running]);
  check('asked again to renew: nothing changes', apply('-e', 'tocsin_renew=true'), nothing);
  check('applied before the new request is signed: nothing changes', apply(), nothing);
  const stale = request('lamp-post-1');
  (sensors[0] as SensorMachine).run('tocsin provision --discard'); // another request, as from a run that ended before it was fetched
  check('asked once more it succeeds', failures(apply('-e', 'tocsin_renew=true')), none);
  check('and the request that is here is that of the key that waits', request('lamp-post-1') === stale, false);

  const inAnHour = new Date(Date.now() + 3_600_000).toISOString().slice(0, 19).replace(/[-T:]/g, '');
  answer('lamp-post-1');
  answer('lamp-post-2', { from: `${inAnHour}Z`, to: `${Number(inAnHour.slice(0, 4)) + 1}${inAnHour.slice(4)}Z` });
  check('a certificate that is not valid yet is refused, the other taken', failures(apply()), { ...none, 'lamp-post-2': 1 });
  check('the sensor whose answer was refused goes on with the old one', credentials(sensors[1] as SensorMachine), old['lamp-post-2']);
  check('and runs', each(active), all('active active'));
  check('applied again it is refused again, not forgotten', failures(apply()), { ...none, 'lamp-post-2': 1 });
  answer('lamp-post-2');
  check('with a right answer it succeeds', failures(apply()), none);
  check(
    'key and certificate are new ones',
    each((sensor) => credentials(sensor) !== old[sensor.name]),
    all(true),
  );
  check('both halves run', each(active), all('active active'));
  check(
    'no key waits any more',
    each((sensor) => sensor.run('ls /etc/tocsin/credentials').replaceAll('\n', ' ')),
    all('ca.pem sensor.key sensor.pem'),
  );
  const before = names.map(received);
  await until('both sensors at the broker with the new certificates', () => names.every((name, i) => Number(received(name)) > Number(before[i])));
  say('ok   the platform hears of both by the new certificates');
  check('applied again: nothing changes', apply(), nothing);

  check('asked what it would change: nothing', apply('--check'), nothing);
  for (const sensor of sensors) sensor.run('apt-get clean');
  check("applied after apt's cache was emptied: nothing changes", apply(), nothing);
  check('a newer version is installed', failures(apply('-e', `tocsin_version=${second}`)), none);
  check('on each', each(installed), all(second));
  check('and both halves run', each(active), all('active active'));
  check('applied again: nothing changes', apply('-e', `tocsin_version=${second}`), nothing);
  check('a sensor that is ahead, by an update of its own, is left so', [apply(), each(installed)], [nothing, all(second)]);

  const upgraded = ['-e', `tocsin_version=${second}`];
  for (const sensor of sensors) sensor.run(`dpkg --unpack /mnt/tocsin_${second}_${thisArchitecture}.deb`); // as a power cut leaves it
  check('a package that was unpacked and no more is finished', apply(...upgraded), all({ changed: 1, failed: 0 }));
  check('and both halves run', each(active), all('active active'));
  for (const sensor of sensors) {
    sensor.attempt(`dpkg --status-logger='grep -qm1 half-installed && kill -9 $PPID' -i /mnt/tocsin_${second}_${thisArchitecture}.deb`); // the parent is dpkg
    sensor.run("dpkg-query -s tocsin | grep '^Status: install reinstreq '");
  }
  check('a package whose files dpkg was writing is written anew', apply(...upgraded), all({ changed: 2, failed: 0 }));
  check('and both halves run', [each(active), each(installed)], [all('active active'), all(second)]);
  const left = each(pids);
  for (const sensor of sensors) sensor.run('touch /etc/tocsin/tocsin.yaml'); // as a run leaves it that loses the link once it has written the file
  check('what a run wrote before it broke off is put in force', failures(apply(...upgraded)), none);
  check(
    'by new processes',
    each((sensor) =>
      pids(sensor)
        .split(' ')
        .some((pid) => left[sensor.name]?.split(' ').includes(pid)),
    ),
    all(false),
  );
  check('applied again: nothing changes', apply(...upgraded), nothing);

  repack(broken, (main) => main.replace('\n', "\nif (process.argv.includes('listen')) process.exit(70);\n"));
  repack(back, (main) => main);
  check('a release whose listener does not run fails', failures(apply('-e', `tocsin_version=${broken}`)), all(1));
  check('the one before, under a higher version, is taken in its place', failures(apply('-e', `tocsin_version=${back}`)), none);
  check('and both halves run', each(active), all('active active'));

  const repository = 'https://packages.city.example/tocsin';
  office.run(
    "gpg --batch --quiet --passphrase '' --quick-generate-key packages ed25519 sign 1y && gpg --armor --export packages >/home/office/ansible/tocsin.asc",
  );
  const updates = ['-e', `tocsin_repository=${repository}`];
  check('told of a repository it succeeds', failures(apply(...updates)), none);
  check(
    'apt and unattended-upgrades know the address, and the key is there',
    each((sensor) =>
      sensor
        .run(`apt-get update --print-uris | grep -o 'https[^ ]*InRelease'; apt-config dump --format '%v%n' Unattended-Upgrade::Origins-Pattern | grep Tocsin
          grep -c BEGIN.PGP /etc/apt/keyrings/tocsin.asc`)
        .split('\n'),
    ),
    all([`${repository}/dists/stable/InRelease`, 'origin=Tocsin,codename=stable,site=packages.city.example', '1']),
  );
  check('applied again: nothing changes', apply(...updates), nothing);

  const renamed = 'lamp-post-22';
  office.run(`sed -i s/tocsin_sensor=lamp-post-2/tocsin_sensor=${renamed}/ /home/office/ansible/fleet.ini`);
  check('a sensor with another name gets a key and a request for it', apply(), { ...nothing, 'lamp-post-2': { changed: 3, failed: 0 } });
  check('applied before it is signed: nothing changes', apply(), nothing);
  answer(renamed);
  check('with the certificate it succeeds', failures(apply()), none);
  await until('the sensor at the broker under its new name', () => Number(received(renamed)) > 0);
  say(`ok   the platform hears of ${renamed}`);
  end();
} finally {
  await town.close();
}
