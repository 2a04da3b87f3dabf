import { commandsOf, type Machine } from './town.ts';

const signer = { operator: 'operator@example.org', stranger: 'stranger@example.org' };
const release = '/srv/www/tocsin/dists/stable/InRelease';

/**
 * The operator's repository at packages.example.org, made and installed on the sensor as deploy/apt/README.md
 * describes.
 */
export function openRepository(office: Machine, sensor: Machine, version: string) {
  for (const key of Object.values(signer))
    office.run(`gpg --batch --quiet --passphrase '' --quick-generate-key ${key} ed25519 sign 1y && gpg --armor --export ${key} >/srv/${key}.asc`);
  office.run('mkdir -p /srv/www && systemd-run -q --unit=packages python3 -m http.server --bind 127.0.0.1 --directory /srv/www 80');
  const publish = (next: string) => void office.run(`/mnt/deploy/apt/publish.sh /srv/www/tocsin ${signer.operator} /mnt/tocsin_${next}_*.deb 2>&1`);
  publish(version);
  const key = (name: string) => Buffer.from(office.run(`cat /srv/${name}.asc`)).toString('base64');
  sensor.run(`set -e
    echo '127.0.0.1 elsewhere.example.org' >>/etc/hosts
    mkdir /srv/apt
    rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* # Debian's own, which cannot be reached from here
    cp /mnt/deploy/apt/* /srv/apt && cd /srv/apt
    echo ${key(signer.operator)} | base64 -d >tocsin.asc
    sed -i 's,^URIs: https:,URIs: http:,' tocsin.sources
    ${commandsOf('deploy/apt/README.md', 'On each sensor').replace('apt install unattended-upgrades\n', '')}
    echo ${key(signer.stranger)} | base64 -d >/etc/apt/keyrings/stranger.asc`);
  return { publish };
}

interface Foreign {
  readonly what: string;
  /** Makes it reachable for the sensor, with a tocsin 9.0. */
  open(): void;
  /** Removes it again. */
  close(): void;
}

/** Repositories whose package must not be installed, although they offer a later version. */
export function foreignRepositories(office: Machine, sensor: Machine): Foreign[] {
  const empty = '/srv/tocsin_9.0_all.deb';
  office.run(`set -e
    mkdir -p /srv/empty/DEBIAN
    printf 'Package: tocsin\\nVersion: 9.0\\nArchitecture: all\\nMaintainer: Nobody <nobody@example.org>\\nDescription: empty\\n' >/srv/empty/DEBIAN/control
    dpkg-deb --root-owner-group -b /srv/empty ${empty} >/dev/null
    cp -r /srv/www/tocsin /srv/good`);
  const publish = (folder: string, key: string) => office.run(`/mnt/deploy/apt/publish.sh ${folder} ${key} ${empty} 2>&1`);
  const restore = () => void office.run('rm -rf /srv/www/tocsin && cp -r /srv/good /srv/www/tocsin');
  /** Another source, whose key the sensor trusts for that source. */
  const elsewhere = (origin: string) => {
    const folder = '/srv/www/elsewhere';
    publish(folder, signer.stranger);
    const index = `${folder}/dists/stable`;
    office.run(`gpg --batch --quiet --decrypt ${index}/InRelease 2>/dev/null | sed 's/^Origin: .*/Origin: ${origin}/' >/srv/release
      gpg --batch --yes --local-user ${signer.stranger} --clearsign --output ${index}/InRelease /srv/release`);
    sensor.run(`sed -e 's,^URIs: .*,URIs: http://elsewhere.example.org/elsewhere,' -e 's,^Signed-By: .*,Signed-By: /etc/apt/keyrings/stranger.asc,' \
      /mnt/deploy/apt/tocsin.sources >/etc/apt/sources.list.d/elsewhere.sources`);
  };
  const leave = () => {
    sensor.run('rm /etc/apt/sources.list.d/elsewhere.sources && apt-get update');
    office.run('rm -rf /srv/www/elsewhere');
  };
  return [
    {
      what: 'the same address, without a signature',
      open() {
        publish('/srv/www/tocsin', signer.operator);
        office.run(`gpg --batch --quiet --decrypt ${release} 2>/dev/null >/srv/release && cp /srv/release ${release}`);
      },
      close: restore,
    },
    { what: "the same address, with a stranger's key", open: () => void publish('/srv/www/tocsin', signer.stranger), close: restore },
    { what: 'another source that apt trusts, of another origin', open: () => elsewhere('Elsewhere'), close: leave },
    { what: 'another source that apt trusts, which calls itself Tocsin', open: () => elsewhere('Tocsin'), close: leave },
  ];
}
