import type { Message } from '../message.ts';

// The page that a technician hands to a data-protection officer.
export const privacyReport = {
  'report.title': { en: 'Privacy verification of an acoustic sensor', fr: 'Vérification de la protection de la vie privée sur un capteur acoustique' },
  'report.sensor': { en: 'Sensor', fr: 'Capteur' },
  'report.site': { en: 'Site', fr: 'Site' },
  'report.time': { en: 'Checked', fr: 'Vérifié' },
  'report.version': { en: 'Version of Tocsin', fr: 'Version de Tocsin' },
  'report.boot': { en: 'Boot of the sensor', fr: 'Démarrage du capteur' },
  'report.digest': { en: 'Digest of this report', fr: 'Empreinte de ce rapport' },
  'report.verdict.passed': { en: 'All {passed} checks passed.', fr: 'Les {passed} contrôles sont tous réussis.' },
  'report.verdict.failed': {
    en: 'Failed checks: {failed}. This sensor is not as it should be.',
    fr: 'Contrôles en échec : {failed}. Ce capteur n’est pas tel qu’il devrait être.',
  },
  'report.verdict.incomplete': {
    en: 'Nothing failed. Checks that could not be made: {unchecked}. This is not a pass.',
    fr: 'Aucun échec. Contrôles qui n’ont pu être faits : {unchecked}. Ce n’est pas une réussite.',
  },
  'report.idea': {
    en: 'Two processes make up the sensor. The listener has the microphone and no network; the courier has the network and no microphone. One file lies between them, and it cannot hold sound. This page says, for the sensor and the time above, whether the operating system enforced that.',
    fr: 'Le capteur est fait de deux processus. L’écouteur a le microphone et pas de réseau ; le courrier a le réseau et pas de microphone. Un seul fichier est entre les deux, et il ne peut contenir de son. Cette page dit, pour le capteur et l’instant ci-dessus, si le système d’exploitation l’imposait.',
  },
  'report.check': { en: 'What was checked, and how', fr: 'Ce qui a été vérifié, et comment' },
  'report.found': { en: 'Found', fr: 'Constaté' },
  'report.byHand': { en: 'By hand', fr: 'À la main' },
  'report.limits': { en: 'What this page does not say', fr: 'Ce que cette page ne dit pas' },
  'report.limits.time': {
    en: 'It is true for the moment of the check. Whoever has root on the sensor can change its software before and after; who has root is a matter of organisation and seals.',
    fr: 'Elle vaut pour l’instant du contrôle. Quiconque a les droits root sur le capteur peut changer ses logiciels avant et après ; qui a ces droits relève de l’organisation et des scellés.',
  },
  'report.limits.hardware': {
    en: 'It does not look at the hardware, the firmware or the kernel of the board, nor at other programs on it.',
    fr: 'Elle ne regarde ni le matériel, ni le micrologiciel, ni le noyau de la carte, ni les autres programmes qui y tournent.',
  },
  'report.limits.law': {
    en: 'It states technical facts. Software gives no legal basis for processing personal data.',
    fr: 'Elle énonce des faits techniques. Un logiciel ne donne pas de base légale à un traitement de données personnelles.',
  },
  'report.limits.hand': {
    en: 'Every line names a command that shows the same. Compare the digest with the one that the sensor publishes on its privacy topic.',
    fr: 'Chaque ligne nomme une commande qui montre la même chose. Comparez l’empreinte à celle que le capteur publie sur son sujet privacy.',
  },
  'report.signed': { en: 'Name, date, signature', fr: 'Nom, date, signature' },
} as const satisfies Record<string, Message>;
