import type { Message } from '../message.ts';

// What meter says. The reasons are short: on 60 columns they stand behind time, label and score.
export const meter = {
  'meter.title': { en: 'Tocsin meter', fr: 'Tocsin meter' },
  'meter.quit': { en: 'q: quit', fr: 'q : quitter' },
  'meter.microphone.starting': { en: 'microphone: no sound yet', fr: 'microphone : pas encore de son' },
  'meter.microphone.listening': { en: 'microphone: hears, {share} % of {span}', fr: 'microphone : écoute, {share} % de {span}' },
  'meter.microphone.clipped': {
    en: 'microphone: hears badly: {fault}; sudo tocsin doctor',
    fr: 'microphone : écoute mal : {fault} ; sudo tocsin doctor',
  },
  'meter.microphone.deaf': { en: 'microphone: DEAF: {fault}; sudo tocsin doctor', fr: 'microphone : SOURD : {fault} ; sudo tocsin doctor' },
  'meter.microphone.stopped': { en: 'microphone: the listener is stopping', fr: 'microphone : l’écouteur s’arrête' },
  'meter.suspicion': { en: 'suspicion: {suspicion}, compared with what is usual here', fr: 'soupçon : {suspicion}, par rapport à l’habitude ici' },
  'meter.level': { en: 'level', fr: 'niveau' },
  'meter.levels': { en: 'floor {floor}, peak {peak}', fr: 'fond {floor}, crête {peak}' },
  'meter.spl': { en: '{spl} dB SPL (LAF); ', fr: '{spl} dB SPL (LAF) ; ' },
  'meter.uncalibrated': { en: 'not calibrated; ', fr: 'non calibré ; ' },

  'meter.opens': { en: 'opens at {open}: ', fr: 'seuil {open} : ' },
  'meter.quiet': { en: 'nothing', fr: 'rien' },
  'meter.below': { en: 'under its threshold', fr: 'sous son seuil' },
  'meter.open': { en: 'an event if {left} s more', fr: 'événement si encore {left} s' },
  'meter.confirmed': { en: 'EVENT, going on', fr: 'ÉVÉNEMENT en cours' },
  'meter.tail': { en: 'ended; repeats join, {left} s', fr: 'fini ; reprise jointe, {left} s' },
  'meter.cooldown': { en: 'cool-down, {left} s', fr: 'temps mort, {left} s' },
  'meter.own': { en: '*: threshold of this site, not of the model', fr: '* : seuil de ce site, pas du modèle' },

  'meter.last': { en: 'last sounds, and how long ago', fr: 'derniers sons, et depuis combien de temps' },
  'meter.last.none': { en: 'none in the last hour', fr: 'aucun depuis une heure' },
  'meter.outcome.fired': { en: 'EVENT', fr: 'ÉVÉNEMENT' },
  'meter.outcome.refused': { en: 'refused: too many a minute', fr: 'refusé : trop par minute' },
  'meter.outcome.under': { en: 'stayed under {open}', fr: 'resté sous {open}' },
  'meter.outcome.short': { en: 'over, but not long enough', fr: 'au-dessus, mais trop bref' },
  'meter.outcome.merged': { en: 'joined to the one before', fr: 'joint au précédent' },
  'meter.outcome.cooldown': { en: 'in the cool-down: no event', fr: 'temps mort : pas d’événement' },

  'meter.line': { en: '{time} {level} dBFS{spl} floor {floor} {scores} {state}', fr: '{time} {level} dBFS{spl} fond {floor} {scores} {state}' },
  'meter.line.event': { en: '{time} {label} {peak}: {reason}', fr: '{time} {label} {peak} : {reason}' },

  'meter.trouble.absent': { en: 'Expected a listener at {path}, got none', fr: 'Attendu un écouteur à {path}, aucun trouvé' },
  'meter.trouble.absent.try': {
    en: 'sudo systemctl start tocsin-listener; where no systemd runs it: tocsin run -c {config}',
    fr: 'sudo systemctl start tocsin-listener ; là où systemd ne le lance pas : tocsin run -c {config}',
  },
  'meter.trouble.noSocket': {
    en: 'Expected a socket at {path}, got none, though the listener runs',
    fr: 'Attendu un socket à {path}, aucun trouvé ; l’écouteur tourne pourtant',
  },
  'meter.trouble.noSocket.try': {
    en: 'journalctl -u tocsin-listener -g "meter socket"; then sudo systemctl restart tocsin-listener',
    fr: 'journalctl -u tocsin-listener -g "meter socket" ; puis sudo systemctl restart tocsin-listener',
  },
  'meter.trouble.denied': { en: 'Expected access to {path}, got a refusal', fr: 'Attendu l’accès à {path}, obtenu un refus' },
  'meter.trouble.denied.try': {
    en: 'sudo tocsin meter; or for good: sudo usermod -aG tocsin-meter NAME, and log in again',
    fr: 'sudo tocsin meter ; ou pour toujours : sudo usermod -aG tocsin-meter NOM, puis reconnectez-vous',
  },
  'meter.trouble.full': {
    en: 'Expected the listener to show its readings, got the connection closed at once',
    fr: 'Attendu des mesures de l’écouteur, connexion refermée aussitôt',
  },
  'meter.trouble.full.try': {
    en: 'at most four meters can run at once: close another one, wait 5 s',
    fr: 'quatre affichages au plus à la fois : fermez-en un autre, attendez 5 s',
  },
  'meter.trouble.silent': {
    en: 'Expected a reading from the listener, got none for 10 s: it hangs',
    fr: 'Attendu une mesure de l’écouteur, aucune reçue en 10 s : il est bloqué',
  },
  'meter.trouble.silent.try': {
    en: 'systemd restarts it within 30 s; journalctl -u tocsin-listener -n 20',
    fr: 'systemd le relance en 30 s ; journalctl -u tocsin-listener -n 20',
  },
  'meter.trouble.gone': { en: 'Expected the listener to keep running, got the end of its connection', fr: 'L’écouteur a mis fin à la connexion' },
  'meter.trouble.gone.try': { en: 'systemctl status tocsin-listener', fr: 'systemctl status tocsin-listener' },
  'meter.trouble.unknown': { en: 'Expected readings of this release, got others', fr: 'Attendu des mesures de cette version, obtenu d’autres' },
  'meter.trouble.unknown.try': {
    en: 'sudo systemctl restart tocsin-listener: it still runs the previous release',
    fr: 'sudo systemctl restart tocsin-listener : il exécute encore l’ancienne version',
  },
  'meter.again': { en: 'Trying again every second...', fr: 'Nouvel essai chaque seconde...' },
} as const satisfies Record<string, Message>;
