import type { Message } from '../message.ts';

export const commission = {
  'commission.title': { en: 'Tocsin commission: three stages and a report', fr: 'Tocsin commission : trois étapes et un rapport' },
  'commission.intro': {
    en: 'doctor, selftest and privacy verify, about two minutes. Ctrl-C stops it; the same command, within half an hour, continues from there.',
    fr: 'doctor, selftest et privacy verify, deux minutes environ. Ctrl-C arrête ; la même commande, dans la demi-heure, reprend à cet endroit.',
  },
  'commission.stage.doctor': { en: 'The sensor, from power supply to platform (doctor)', fr: 'Le capteur, de l’alimentation à la plateforme (doctor)' },
  'commission.stage.selftest': { en: 'A sound in, its event back (selftest)', fr: 'Un son entre, son événement revient (selftest)' },
  'commission.stage.privacy': { en: 'What it cannot do (privacy verify)', fr: 'Ce qu’il ne peut pas faire (privacy verify)' },
  'commission.kept': { en: 'passed before the stop, not run again', fr: 'réussi avant l’arrêt, non refait' },
  'commission.paused': { en: 'the listener is stopped for this, to free the microphone', fr: 'l’écouteur est arrêté pour libérer le microphone' },
  'commission.restarted': { en: 'the listener is started again', fr: 'l’écouteur est relancé' },
  'commission.resumed': { en: 'the listener hears again', fr: 'l’écouteur entend de nouveau' },
  'commission.unheard': {
    en: 'the listener was started again but has not reported within 30 s that it hears',
    fr: 'l’écouteur a été relancé mais n’a pas signalé en 30 s qu’il entend',
  },
  'commission.unheard.try': { en: 'sudo tocsin status; journalctl -u tocsin-listener -n 20', fr: 'sudo tocsin status ; journalctl -u tocsin-listener -n 20' },
  'commission.verdict.accepted': { en: 'Accepted: every check passed.', fr: 'Accepté : tous les contrôles sont réussis.' },
  'commission.verdict.incomplete': {
    en: 'Incomplete: nothing failed, but not everything could be tested.',
    fr: 'Incomplet : aucun échec, mais tout n’a pas pu être testé.',
  },
  'commission.verdict.refused': { en: 'Not accepted: a check failed.', fr: 'Refusé : un contrôle a échoué.' },
  'commission.written': { en: 'Report: {folder}', fr: 'Rapport : {folder}' },
  'commission.signed': {
    en: 'Signed with this sensor’s key. To check it, in that folder:',
    fr: 'Signé avec la clé de ce capteur. Pour le vérifier, dans ce dossier :',
  },
  'commission.stopped': {
    en: 'stopped by hand; no report was written. To continue from there:',
    fr: 'arrêté à la main ; aucun rapport écrit. Pour reprendre à cet endroit :',
  },
  'commission.privacy.failed': { en: 'FAIL  {part}: {what}: {found}', fr: 'ÉCHEC  {part} : {what} : {found}' },
  'commission.refused': { en: 'not accepted: {names}', fr: 'refusé : {names}' },
  'commission.refused.try': { en: 'fix what the stage above reports, then run it again', fr: 'corrigez ce que signale l’étape ci-dessus, puis recommencez' },
  'commission.incomplete': { en: 'nothing failed, but not everything could be tested: {names}', fr: 'aucun échec, mais tout n’a pas pu être testé : {names}' },
  'commission.incomplete.try': {
    en: 'run it as root on the sensor, with both services running, with the microphone and without --one-way',
    fr: 'lancez-le en root sur le capteur, les deux services en marche, avec le microphone et sans --one-way',
  },

  'commission.report': { en: 'Acceptance report of an acoustic sensor', fr: 'Rapport de réception d’un capteur acoustique' },
  'commission.model': { en: 'Model', fr: 'Modèle' },
  'commission.config': { en: 'Configuration, SHA-256', fr: 'Configuration, SHA-256' },
  'commission.key': { en: 'Key of the sensor, SHA-256', fr: 'Clé du capteur, SHA-256' },
  'commission.clock.good': { en: 'clock synchronised', fr: 'horloge synchronisée' },
  'commission.clock.bad': { en: 'clock not synchronised', fr: 'horloge non synchronisée' },
  'commission.checked': { en: 'Checked', fr: 'Contrôlé' },
  'commission.sound.person': { en: 'The sound was made by a person near the sensor.', fr: 'Le son a été fait par une personne près du capteur.' },
  'commission.sound.speaker': { en: 'The bundled sound was played by a loudspeaker.', fr: 'Le son fourni a été joué par un haut-parleur.' },
  'commission.sound.file': {
    en: 'A sound file was fed in; the microphone was left out.',
    fr: 'Un fichier son a été injecté ; le microphone n’a pas servi.',
  },
  'commission.selftest.ok': {
    en: 'Recognised: {label}, confidence {confidence}. From the onset to the broker and back: {ms} ms.',
    fr: 'Reconnu : {label}, confiance {confidence}. Du début du son au broker et retour : {ms} ms.',
  },
  'commission.selftest.oneWay': {
    en: 'Recognised: {label}, confidence {confidence}. From the onset to the broker: {ms} ms; the way back was not tested.',
    fr: 'Reconnu : {label}, confiance {confidence}. Du début du son au broker : {ms} ms ; le retour n’a pas été testé.',
  },
  'commission.selftest.steps': { en: 'Each stage: {steps}.', fr: 'Par étape : {steps}.' },
  'commission.plot.seconds': { en: 'seconds', fr: 'secondes' },
  'commission.plot.level': { en: 'level, dBFS', fr: 'niveau, dBFS' },
  'commission.plot.scores': { en: 'scores and thresholds', fr: 'scores et seuils' },
  'commission.plot.onset': { en: 'onset', fr: 'début' },
  'commission.plot.note': {
    en: 'The last ten seconds of the selftest at most, four values a second. No sound is in this report, and none can be made from it.',
    fr: 'Les dix dernières secondes du selftest au plus, quatre valeurs par seconde. Ce rapport ne contient aucun son, et aucun ne peut en être tiré.',
  },
  'commission.check': { en: 'How to check the signature', fr: 'Vérifier la signature' },
  'commission.check.how': {
    en: 'In the folder of this report, with ca.pem of the operator; each line must say OK or nothing, and the key above must be the one in the operator’s list.',
    fr: 'Dans le dossier de ce rapport, avec ca.pem de l’exploitant ; chaque ligne doit dire OK ou rien, et la clé ci-dessus doit être celle de sa liste.',
  },
  'commission.sign.technician': { en: 'Technician', fr: 'Technicien' },
  'commission.sign.operator': { en: 'Operator', fr: 'Exploitant' },
  'commission.sign.date': { en: 'Date', fr: 'Date' },
} as const satisfies Record<string, Message>;
