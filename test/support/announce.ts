import { missing } from './broker.ts';
import { withoutShiftedClock } from './shifted-clock.ts';
import { withoutSystemTests } from './system.ts';
import { withoutTraining } from './training.ts';

/** Prints before the tests which suites this machine cannot run, and why. */
export default function announce(): void {
  const needsRoot = process.getuid?.() === 0 ? undefined : 'needs root';
  const suites = {
    'faults of test/integration/doctor': missing('mosquitto', 'mosquitto_passwd', 'openssl'),
    'mosquitto suites of test/integration': missing('mosquitto'),
    'capture suites of test/e2e': missing('pulseaudio', 'paplay', 'arecord'),
    'the canary of test/e2e': missing('pulseaudio', 'paplay', 'arecord', 'strace'),
    'crash states, unreadable blocks and refused starts of test/reliability': missing('gcc'),
    'plants of test/integration/privacy': missing('gcc', 'strace') ?? needsRoot,
    'the power cut of test/unit/calibration': missing('strace'),
    'the ballast of test/unit/patient-outbox': missing('strace'),
    'test/integration/tls': missing('mosquitto', 'openssl'),
    'test/e2e/egress': missing('gcc', 'ip', 'unshare') ?? needsRoot,
    'test/integration/repository': missing('apt-get', 'apt-ftparchive', 'gpg', 'gpgv', 'dpkg-deb'),
    'completion of test/integration': missing('bash', 'zsh', 'fish'),
    'man page of test/unit/manual': missing('mandoc', 'man'),
    'field card of test/unit/manual, pages of test/unit/scoring': missing('weasyprint', 'pdfinfo'),
    'test/integration/training': withoutTraining,
    'test/system/sensor': withoutSystemTests('dpkg-deb', 'systemd-nspawn', 'mmdebstrap'),
    'shifted clocks of test/reliability': withoutShiftedClock(),
    'exposure of test/integration/units': missing('systemd-analyze'),
  };
  for (const [name, reason] of Object.entries(suites)) if (reason) process.stdout.write(`Left out: ${name}: ${reason}\n`);
}
