// A sensor that updates itself: real unattended-upgrades with repositories made by deploy/apt/publish.sh and served
// over HTTP, one good and three bad: npm run upgrade [-- FOLDER with tocsin_0.1.0+N_ARCH.deb for N = 1, 2, 3]. Takes
// some minutes; needs root.
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { oneFolderForThisCommand } from '../support/one-temporary-folder.ts';
import { buildPackage, thisArchitecture } from '../support/package.ts';
import { openReport, until } from '../support/report.ts';
import { foreignRepositories, openRepository } from './repositories.ts';
import { openTown, type SensorMachine } from './town.ts';

const [first, second, third] = ['0.1.0+1', '0.1.0+2', '0.1.0+3'] as const;
const { say, check, end } = openReport();
oneFolderForThisCommand();
const town = await openTown(['lamp-post-1']);
const { office, operator, share } = town;
const sensor = town.sensors[0] as SensorMachine;

const installed = () => sensor.run('dpkg-query -W tocsin').split('\t')[1];
const kept = () => sensor.run('sha256sum /etc/tocsin/tocsin.yaml /etc/tocsin/credentials/*');
const active = () => sensor.attempt('systemctl is-active tocsin-listener tocsin-courier').said.replace('\n', ' ');
const pids = () => sensor.run('systemctl show -P MainPID tocsin-listener tocsin-courier').split(/\s+/);
const waiting = () =>
  sensor
    .run("sqlite3 -readonly /var/lib/tocsin/outbox.db 'SELECT sequence FROM event'")
    .split('\n')
    .filter((line) => line !== '');
const arrived = () =>
  office
    .attempt("grep -o '^tocsin/v1/old-port/lamp-post-1/event .*' /srv/received")
    .said.split('\n')
    .flatMap((line) => /"sequence":"?(\d+)/.exec(line)?.[1] ?? []);
/** Returns the output of one run without the lines that always appear. */
function upgrade(...options: string[]): string {
  const { status, said } = sensor.attempt(`unattended-upgrade -v ${options.join(' ')}`, 600_000);
  say(`\n$ unattended-upgrade -v ${options.join(' ')}`);
  const lines = said
    .split('\n')
    .filter((line) => /^(Packages|All upgrades|No packages|Allowed|Checking|Option|Writing|.*(error|Error|W:|E:))|tocsin/i.test(line));
  for (const line of lines) say(`  ${line.slice(0, 200)}`);
  if (status !== 0) say(`  exit ${status}: ${said.slice(-500)}`);
  return said;
}
const upgrades = (said: string) => /^Packages that will be upgraded: (.*)$/m.exec(said)?.[1]?.trim() ?? '';
function update(): number {
  const { status, said } = sensor.attempt('apt-get -o APT::Update::Error-Mode=any update');
  say(`\n$ apt-get update: exit ${status}`);
  for (const line of said.split('\n').filter((text) => /^(E|W|Err)/.test(text))) say(`  ${line.slice(0, 200)}`);
  return status;
}

try {
  for (const version of [first, second, third]) {
    const name = `tocsin_${version}_${thisArchitecture}.deb`;
    copyFileSync(process.argv[2] === undefined ? buildPackage(thisArchitecture, '.', version) : join(process.argv[2], name), join(share, name));
  }
  const repository = openRepository(office, sensor, first);

  check('the repository is taken', update(), 0);
  sensor.run('apt-get install -y --no-install-recommends tocsin 2>&1', 600_000);
  check('the package comes from it', installed(), first);
  const mqtt = { url: 'mqtts://broker.example.org:8883', caFile: 'ca.pem', certFile: 'sensor.pem', keyFile: 'sensor.key' };
  writeFileSync(join(share, 'tocsin.yaml'), stringify({ site: 'old-port', sensor: sensor.name, microphone: { device: 'street' }, mqtt }));
  sensor.run('cp /mnt/tocsin.yaml /etc/tocsin/');
  copyFileSync(operator.sign(sensor.run('tocsin provision 2>/dev/null')), join(share, 'sensor.pem'));
  sensor.run('tocsin provision --install /mnt/sensor.pem --ca /mnt/ca.pem && systemctl start tocsin.target');
  sensor.street.play(true);
  await until('an event at the platform', () => arrived().length > 0);
  office.run('systemctl stop mosquitto');
  await until('an event that waits', () => waiting().length > 0);
  sensor.street.play(false);

  check('nothing newer: nothing to do', upgrades(upgrade()), '');
  repository.publish(second);
  check('the new version is seen', update(), 0);
  const [before, backlog, running] = [kept(), waiting(), pids()];
  check('--dry-run would upgrade it', upgrades(upgrade('--dry-run')), 'tocsin');
  check('and does not', [installed(), pids()], [first, running]);
  sensor.run('apt-mark hold tocsin');
  check('held, it stays', upgrades(upgrade('--dry-run')), '');
  sensor.run('apt-mark unhold tocsin');
  upgrade();
  check('upgraded', installed(), second);
  check('configuration and key are the same', kept(), before);
  check(
    `the ${backlog.length} that waited wait still`,
    backlog.filter((number) => !waiting().includes(number)),
    [],
  );
  await until('both halves', () => active() === 'active active');
  check(
    'both halves are new processes',
    pids().map((pid, i) => pid !== running[i]),
    [true, true],
  );
  office.run('systemctl start mosquitto');
  await until('the backlog at the platform', () => backlog.every((number) => arrived().includes(number)));
  say(`ok   all ${backlog.length} arrived at the platform`);

  for (const foreign of foreignRepositories(office, sensor)) {
    foreign.open();
    update();
    say(`  ${sensor.attempt("apt-cache policy tocsin | sed -n '2,3p' | tr '\\n' ' '").said}`);
    check(`${foreign.what}: not taken`, [upgrades(upgrade()), installed()], ['', second]);
    foreign.close();
  }

  repository.publish(third);
  const cut = 'grep -qm1 half-installed && kill -9 $PPID'; // the parent of what logs is dpkg
  sensor.attempt(`dpkg --status-logger='${cut}' -i /mnt/tocsin_${third}_${thisArchitecture}.deb`);
  check('dpkg is killed before it is done, as by a power cut', sensor.run('dpkg --audit tocsin') === '', false);
  sensor.run('rm -f /var/lib/apt/periodic/*; systemctl start apt-daily.service && systemctl start apt-daily-upgrade.service', 600_000);
  check('the units of the timers finish that and upgrade, with both files as they stand', [installed(), kept()], [third, before]);
  await until('both halves', () => active() === 'active active');
  say(`ok   running ${sensor.run('tocsin --version')}, package ${installed()}`);
  end();
} finally {
  await town.close();
}
