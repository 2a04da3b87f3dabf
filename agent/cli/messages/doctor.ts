import type { Message } from '../message.ts';

// `doctor.CHECK.FINDING`, and `.try` beside every finding that warns or fails. Keys are part of the contract of --json.
export const doctor = {
  'doctor.title': {
    en: 'Tocsin doctor: step by step, from power supply to platform',
    fr: 'Tocsin doctor : étape par étape, de l’alimentation à la plateforme',
  },
  'doctor.state.pass': { en: 'ok', fr: 'ok' },
  'doctor.state.warn': { en: 'WARN', fr: 'ALERTE' },
  'doctor.state.fail': { en: 'FAIL', fr: 'ÉCHEC' },
  'doctor.state.skip': { en: 'skip', fr: 'omis' },
  'doctor.summary': {
    en: '{pass} ok, {warn} to look at, {fail} failed, {skip} skipped, in {seconds} s',
    fr: '{pass} ok, {warn} à regarder, {fail} en échec, {skip} omis, en {seconds} s',
  },
  'doctor.healthy': { en: 'This sensor hears, understands and reports.', fr: 'Ce capteur entend, comprend et transmet.' },
  'doctor.failed': { en: 'failed checks: {fail} of {all} ({names})', fr: 'contrôles en échec : {fail} sur {all} ({names})' },

  'doctor.name.config': { en: 'config', fr: 'config' },
  'doctor.name.board': { en: 'board', fr: 'carte' },
  'doctor.name.power': { en: 'power', fr: 'courant' },
  'doctor.name.clock': { en: 'clock', fr: 'horloge' },
  'doctor.name.microphone': { en: 'microphone', fr: 'microphone' },
  'doctor.name.level': { en: 'level', fr: 'niveau' },
  'doctor.name.model': { en: 'model', fr: 'modèle' },
  'doctor.name.outbox': { en: 'outbox', fr: 'attente' },
  'doctor.name.disk': { en: 'disk', fr: 'disque' },
  'doctor.name.network': { en: 'network', fr: 'réseau' },
  'doctor.name.name': { en: 'name', fr: 'nom' },
  'doctor.name.port': { en: 'port', fr: 'port' },
  'doctor.name.tls': { en: 'TLS', fr: 'TLS' },
  'doctor.name.dates': { en: 'certificate', fr: 'certificat' },
  'doctor.name.broker': { en: 'broker', fr: 'broker' },
  'doctor.name.acl': { en: 'ACL', fr: 'droits' },
  'doctor.name.services': { en: 'services', fr: 'services' },
  'doctor.name.privacy': { en: 'privacy', fr: 'vie privée' },

  'doctor.needs': { en: 'not tried: {check} must pass first', fr: 'non tenté : {check} doit d’abord réussir' },
  'doctor.stopped': { en: 'stopped by hand', fr: 'arrêté à la main' },
  'doctor.timeout': { en: 'no answer within {seconds} s', fr: 'pas de réponse en {seconds} s' },
  'doctor.timeout.try': { en: 'run it again; if this persists, restart the board', fr: 'recommencez ; si cela persiste, redémarrez la carte' },
  'doctor.timeout.link': {
    en: 'the broker or a firewall does not answer: ask the operator; check the port in mqtt.url',
    fr: 'le broker ou un pare-feu ne répond pas : demandez à l’exploitant ; vérifiez le port de mqtt.url',
  },
  'doctor.forbidden': { en: 'this user may not look at {path}', fr: 'cet utilisateur n’a pas accès à {path}' },
  'doctor.forbidden.try': { en: 'sudo tocsin doctor', fr: 'sudo tocsin doctor' },
  'doctor.defect': { en: 'the check itself broke: {reason}', fr: 'le contrôle lui-même a échoué : {reason}' },
  'doctor.defect.try': { en: 'report this line: it is a defect of Tocsin', fr: 'signalez cette ligne : c’est un défaut de Tocsin' },

  'doctor.config.ok': { en: '{path}: sensor {sensor} at {site}', fr: '{path} : capteur {sensor} à {site}' },
  'doctor.config.wrong': { en: '{reason}', fr: '{reason}' },
  'doctor.config.wrong.try': { en: 'correct it, then: tocsin config check -c {word}', fr: 'corrigez, puis : tocsin config check -c {word}' },

  'doctor.config.absent': { en: 'there is no {path}', fr: '{path} n’existe pas' },
  'doctor.config.absent.try': {
    en: 'tocsin config example | sudo tee {word}; edit it, then: tocsin config check -c {word}',
    fr: 'tocsin config example | sudo tee {word} ; adaptez-le, puis : tocsin config check -c {word}',
  },

  'doctor.board.ok': { en: '{board}{memory}{temperature}', fr: '{board}{memory}{temperature}' },
  'doctor.board.memory': { en: ', {memory} MB of memory free', fr: ', {memory} Mo de mémoire libre' },
  'doctor.board.temperature': { en: ', {celsius} °C', fr: ', {celsius} °C' },
  'doctor.board.hot': { en: '{board} at {celsius} °C: it slows down at 80', fr: '{board} à {celsius} °C : elle ralentit à 80' },
  'doctor.board.hot.try': { en: 'shade or vent the housing; does the fan turn?', fr: 'mettez le boîtier à l’ombre ou aérez-le ; le ventilateur tourne-t-il ?' },
  'doctor.board.small': { en: '{board} has {memory} MB of memory free, 100 are needed', fr: '{board} a {memory} Mo de mémoire libre, il en faut 100' },
  'doctor.board.small.try': { en: 'see what takes it: ps aux --sort=-rss | head', fr: 'voyez ce qui l’occupe : ps aux --sort=-rss | head' },

  'doctor.power.ok': { en: 'no under-voltage or throttling since boot', fr: 'ni sous-tension ni ralentissement depuis le démarrage' },
  'doctor.power.untold': { en: 'this board does not report it', fr: 'cette carte ne le signale pas' },
  'doctor.power.now': { en: '{what} at this moment ({code})', fr: '{what} en ce moment ({code})' },
  'doctor.power.now.try': {
    en: 'use another supply (5.1 V, 3 A) and a short thick cable',
    fr: 'prenez une autre alimentation (5,1 V, 3 A) et un câble court et épais',
  },
  'doctor.power.since': { en: '{what} since boot ({code})', fr: '{what} depuis le démarrage ({code})' },
  'doctor.power.since.try': { en: 'check supply and cable, then restart and look again', fr: 'vérifiez alimentation et câble, redémarrez et regardez encore' },
  'doctor.power.underVoltage': { en: 'under-voltage', fr: 'sous-tension' },
  'doctor.power.throttled': { en: 'throttling', fr: 'ralentissement' },

  'doctor.clock.ok': { en: '{time}, synchronised', fr: '{time}, synchronisée' },
  'doctor.clock.unset': { en: 'says {time}: it was never set', fr: 'indique {time} : jamais réglée' },
  'doctor.clock.unset.try': {
    en: 'sudo timedatectl set-ntp true (needs the network; certificates fail until then)',
    fr: 'sudo timedatectl set-ntp true (avec le réseau ; sans heure les certificats échouent)',
  },
  'doctor.clock.unsynchronised': { en: '{time}, but not synchronised', fr: '{time}, mais non synchronisée' },
  'doctor.clock.unsynchronised.try': {
    en: 'is a time server reached? timedatectl timesync-status',
    fr: 'un serveur de temps est-il joint ? timedatectl timesync-status',
  },
  'doctor.clock.slept': {
    en: 'this board was suspended for {age}: times of events may be wrong',
    fr: 'carte en veille pendant {age} : l’heure des événements peut être fausse',
  },
  'doctor.clock.slept.try': {
    en: 'sudo systemctl mask sleep.target suspend.target hibernate.target; then restart the board',
    fr: 'sudo systemctl mask sleep.target suspend.target hibernate.target ; puis redémarrez la carte',
  },
  'doctor.clock.noSystemd': {
    en: 'start a time service (chrony, ntpd), on the host where this is a container',
    fr: 'démarrez un service de temps (chrony, ntpd), sur l’hôte si ceci est un conteneur',
  },

  'doctor.model.ok': { en: '{name} {version}: {cost} ms per second of sound', fr: '{name} {version} : {cost} ms par seconde de son' },
  'doctor.model.slow': {
    en: '{name} {version} takes {cost} ms per second of sound: the board is too slow or busy',
    fr: '{name} {version} prend {cost} ms par seconde de son : carte trop lente ou occupée',
  },
  'doctor.model.slow.try': {
    en: 'see what else runs: top; then tocsin bench --model {folder}',
    fr: 'voyez ce qui tourne : top ; puis tocsin bench --model {folder}',
  },
  'doctor.model.missing': { en: 'no model in {folder}', fr: 'pas de modèle dans {folder}' },
  'doctor.model.missing.try': { en: 'correct model.path, or install Tocsin again', fr: 'corrigez model.path, ou réinstallez Tocsin' },
  'doctor.model.wrong': { en: '{reason}', fr: '{reason}' },
  'doctor.model.wrong.try': { en: 'install it again, then: tocsin model {folder}', fr: 'réinstallez-le, puis : tocsin model {folder}' },

  'doctor.outbox.ok': { en: '{pending} waiting, {sent} sent so far', fr: '{pending} en attente, {sent} transmis jusqu’ici' },
  'doctor.outbox.none': { en: 'not created yet: the first start creates {path}', fr: 'pas encore créée : le premier démarrage crée {path}' },
  'doctor.outbox.none.try': { en: 'sudo systemctl start tocsin.target', fr: 'sudo systemctl start tocsin.target' },
  'doctor.outbox.locked': { en: '{path} is locked by another program', fr: '{path} est verrouillée par un autre programme' },
  'doctor.outbox.locked.try': {
    en: 'wait a minute and check again; if this persists, see which program it is: sudo fuser -v {word}',
    fr: 'attendez une minute et recommencez ; si cela persiste, voyez quel programme : sudo fuser -v {word}',
  },
  'doctor.outbox.folder': { en: '{path} is a folder', fr: '{path} est un dossier' },
  'doctor.outbox.folder.try': { en: 'outbox.path must name a file: {path}/outbox.db', fr: 'outbox.path doit nommer un fichier : {path}/outbox.db' },
  'doctor.outbox.unshared': { en: '{path} is closed to listener and courier', fr: '{path} est fermée à l’écouteur et au courrier' },
  'doctor.outbox.unshared.try': {
    en: 'sudo find {folder} -maxdepth 1 -type f -name {names} -exec chgrp tocsin {each} -exec chmod g+rw {each}',
    fr: 'sudo find {folder} -maxdepth 1 -type f -name {names} -exec chgrp tocsin {each} -exec chmod g+rw {each}',
  },
  'doctor.outbox.closed': { en: '{folder} is closed to listener and courier', fr: '{folder} est fermé à l’écouteur et au courrier' },
  'doctor.outbox.closed.try': { en: 'sudo chgrp tocsin {word}; sudo chmod 2770 {word}', fr: 'sudo chgrp tocsin {word} ; sudo chmod 2770 {word}' },
  'doctor.outbox.damaged': { en: '{path} is damaged ({reason})', fr: '{path} est endommagée ({reason})' },
  'doctor.outbox.damaged.try': {
    en: 'sudo systemctl restart tocsin.target; if this persists: sudo mv {word} {word}.damaged and restart',
    fr: 'sudo systemctl restart tocsin.target ; si cela persiste : sudo mv {word} {word}.damaged et redémarrez',
  },
  'doctor.outbox.later': { en: '{reason}', fr: '{reason}' },
  'doctor.outbox.later.try': {
    en: 'install the later release again; until then events are held in memory only, and are lost when the listener stops',
    fr: 'réinstallez la version plus récente ; d’ici là, les événements restent en mémoire et sont perdus si l’écouteur s’arrête',
  },
  'doctor.outbox.late': { en: '{pending} waiting, the oldest for {age}', fr: '{pending} en attente, le plus ancien depuis {age}' },
  'doctor.outbox.late.try': {
    en: 'see the lines from network to services below; if all are ok: journalctl -u tocsin-courier -n 20',
    fr: 'voyez plus bas les lignes de réseau à services ; si tout est ok : journalctl -u tocsin-courier -n 20',
  },
  'doctor.outbox.lost': {
    en: '{expired} expired, {refused} refused, {dropped} dropped, {unreadable} unreadable so far',
    fr: '{expired} expirés, {refused} refusés, {dropped} abandonnés, {unreadable} illisibles jusqu’ici',
  },
  'doctor.outbox.lost.try': {
    en: 'was there a long outage, or is the place very noisy? sudo tocsin outbox',
    fr: 'y a-t-il eu une longue coupure, ou le lieu est-il très bruyant ? sudo tocsin outbox',
  },
  'doctor.outbox.forbidden': { en: 'this user may not read {path}', fr: 'cet utilisateur ne peut pas lire {path}' },
  'doctor.outbox.forbidden.try': { en: 'sudo tocsin doctor', fr: 'sudo tocsin doctor' },

  'doctor.disk.ok': { en: '{free} MB free at {folder}', fr: '{free} Mo libres dans {folder}' },
  'doctor.disk.low': {
    en: '{free} MB free at {folder}; the outbox may need {wanted}',
    fr: '{free} Mo libres dans {folder} ; la file peut en demander {wanted}',
  },
  'doctor.disk.low.try': {
    en: 'sudo journalctl --vacuum-size=50M; or a smaller outbox.maxMegabytes',
    fr: 'sudo journalctl --vacuum-size=50M ; ou un outbox.maxMegabytes plus petit',
  },
  'doctor.disk.memory': {
    en: '{folder} is in memory: a reboot or power cut loses what waits there',
    fr: '{folder} est en mémoire : un redémarrage ou une coupure de courant perd ce qui y attend',
  },
  'doctor.disk.memory.try': {
    en: 'mount a partition of the card there; with overlayroot: overlayroot=tmpfs:recurse=0',
    fr: 'montez-y une partition de la carte ; avec overlayroot : overlayroot=tmpfs:recurse=0',
  },
  'doctor.disk.full': { en: 'full: {free} MB free at {folder}', fr: 'plein : {free} Mo libres dans {folder}' },
  'doctor.disk.full.try': {
    en: 'sudo apt-get clean; sudo journalctl --vacuum-size=50M; what is big: du -xh / | sort -h | tail',
    fr: 'sudo apt-get clean ; sudo journalctl --vacuum-size=50M ; ce qui est gros : du -xh / | sort -h | tail',
  },
  'doctor.disk.readOnly': { en: '{folder} cannot be written: {reason}', fr: '{folder} ne peut pas être écrit : {reason}' },
  'doctor.disk.readOnly.try': {
    en: 'sudo mount -o remount,rw /; if it fails, replace the SD card',
    fr: 'sudo mount -o remount,rw / ; sinon changez la carte SD',
  },
  'doctor.disk.absent': { en: '{folder} does not exist', fr: '{folder} n’existe pas' },
  'doctor.disk.absent.try': {
    en: 'sudo systemctl start tocsin.target makes it; or correct outbox.path',
    fr: 'sudo systemctl start tocsin.target le crée ; ou corrigez outbox.path',
  },

  'doctor.services.ok': { en: 'listener and courier run', fr: 'écouteur et courrier tournent' },
  'doctor.services.none': { en: 'systemd does not run here', fr: 'systemd ne tourne pas ici' },
  'doctor.services.missing': { en: '{unit} is not installed', fr: '{unit} n’est pas installé' },
  'doctor.services.missing.try': {
    en: 'sudo apt install --reinstall ./tocsin_VERSION_ARCHITECTURE.deb; where it came from a repository: sudo apt install --reinstall tocsin',
    fr: 'sudo apt install --reinstall ./tocsin_VERSION_ARCHITECTURE.deb ; s’il vient d’un dépôt : sudo apt install --reinstall tocsin',
  },
  'doctor.services.masked': { en: '{unit} is masked: nothing can start it', fr: '{unit} est masqué : rien ne peut le démarrer' },
  'doctor.services.masked.try': {
    en: 'sudo systemctl unmask {unit}; sudo systemctl start tocsin.target',
    fr: 'sudo systemctl unmask {unit} ; sudo systemctl start tocsin.target',
  },
  'doctor.services.unloadable': { en: 'systemd cannot load {unit} ({state})', fr: 'systemd ne peut pas charger {unit} ({state})' },
  'doctor.services.unloadable.try': {
    en: 'systemctl status {unit}; systemctl cat {unit} shows what a drop-in adds',
    fr: 'systemctl status {unit} ; systemctl cat {unit} montre ce qu’un ajout y met',
  },
  'doctor.services.disabled': {
    en: 'they run, but after a restart of the board nothing starts them',
    fr: 'ils tournent, mais rien ne les relancera au redémarrage de la carte',
  },
  'doctor.services.disabled.try': { en: 'sudo systemctl enable tocsin.target', fr: 'sudo systemctl enable tocsin.target' },
  'doctor.services.said': { en: '; its last error: {reason}', fr: ' ; sa dernière erreur : {reason}' },
  'doctor.services.down': { en: '{unit} is {state}{said}', fr: '{unit} n’est pas actif (systemd : {state}){said}' },
  'doctor.services.down.try': {
    en: 'sudo systemctl restart tocsin.target; journalctl -u {unit} -n 20',
    fr: 'sudo systemctl restart tocsin.target ; journalctl -u {unit} -n 20',
  },
  'doctor.services.restarts': { en: '{unit} was restarted {count} times{said}', fr: '{unit} a redémarré {count} fois{said}' },
  'doctor.services.restarts.try': { en: 'journalctl -u {unit} -n 50', fr: 'journalctl -u {unit} -n 50' },

  'doctor.privacy.sensor': { en: 'sensor', fr: 'capteur' },
  'doctor.privacy.listener': { en: 'listener', fr: 'écouteur' },
  'doctor.privacy.courier': { en: 'courier', fr: 'courrier' },
  'doctor.privacy.ok': {
    en: 'what hears cannot speak, what speaks cannot hear ({count} checks)',
    fr: 'ce qui entend ne peut parler, ce qui parle ne peut entendre ({count} contrôles)',
  },
  'doctor.privacy.open': {
    en: '{count} of its checks failed, the first: {part}, {what}: {found}',
    fr: 'contrôles en échec : {count}, le premier : {part}, {what} : {found}',
  },
  'doctor.privacy.open.try': { en: 'sudo tocsin privacy verify', fr: 'sudo tocsin privacy verify' },
  'doctor.privacy.unchecked': {
    en: '{count} of its checks could not be made, the first: {part}, {what}: {found}',
    fr: 'contrôles impossibles : {count}, le premier : {part}, {what} : {found}',
  },
  'doctor.privacy.unchecked.try': { en: 'sudo tocsin privacy verify', fr: 'sudo tocsin privacy verify' },
} as const satisfies Record<string, Message>;
