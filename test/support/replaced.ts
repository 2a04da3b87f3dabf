import type { Container } from './container.ts';

type Half = 'listener' | 'courier';
const dropIn = (half: Half) => `/run/systemd/system/tocsin-${half}.service.d`;
const meet = (how: string) => `/opt/descriptor ${how} /var/lib/tocsin/meeting`;

/** What programs say that try, in place of the halves, what their units have to deny; then starts the halves again. */
export async function triesInPlaceOfTheHalves(box: Container): Promise<Record<string, string>> {
  box.sh('install -m 755 /mnt/descriptor /opt/'); // the users of the halves see nothing of the share
  const controls = '/var/lib/alsa/asound.state'; // as alsactl writes it when the board is shut down
  box.sh(`echo heard >${controls} && chmod 644 ${controls}`);
  const tries = {
    'the courier takes a pipe': await saidInPlaceOf('courier', box, { listener: meet('serve give'), courier: meet('call take') }),
    'the listener takes a pipe': await saidInPlaceOf('listener', box, { listener: meet('serve take'), courier: meet('call give') }),
    'the listener looks for the notes of the courier': await saidInPlaceOf('listener', box, { listener: '/usr/bin/ls -l /var/lib/tocsin-courier' }),
    'the courier reads stored controls': await saidInPlaceOf('courier', box, { courier: `/usr/bin/cat ${controls}` }),
  };
  box.sh(`rm -r ${dropIn('listener')} ${dropIn('courier')}; systemctl daemon-reload; systemctl restart tocsin.target`);
  return tries;
}

/** Starts programs in the units of the halves; returns what that of one half says first. */
async function saidInPlaceOf(half: Half, { sh }: Container, programs: Partial<Record<Half, string>>): Promise<string> {
  sh('systemctl stop tocsin-listener tocsin-courier; journalctl -q --rotate --vacuum-time=1s');
  for (const [name, program] of Object.entries(programs) as [Half, string][])
    sh(`mkdir -p ${dropIn(name)} && printf '[Service]\\nType=exec\\nRestart=no\\nWatchdogSec=0\\nExecStart=\\nExecStart=${program}\\n' >${dropIn(name)}/replaced.conf
      systemctl daemon-reload; systemctl start tocsin-${name}`);
  for (const began = performance.now(); ; await new Promise((r) => setTimeout(r, 200))) {
    const said = sh(`journalctl -q --no-pager -o cat -u tocsin-${half} _TRANSPORT=stdout`).stdout.trim();
    if (said !== '' || performance.now() - began > 60_000) return said;
  }
}
