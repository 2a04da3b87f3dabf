import type { Message } from '../message.ts';

// What the man page, the field card and the help say beside the descriptions of commands and options.
export const manual = {
  'exit.done': { en: 'done', fr: 'fait' },
  'exit.failure': { en: 'defect', fr: 'défaut' },
  'exit.usage': { en: 'usage', fr: 'usage' },
  'exit.config': { en: 'configuration', fr: 'configuration' },
  'exit.audio': { en: 'sound', fr: 'son' },
  'exit.model': { en: 'model', fr: 'modèle' },
  'exit.outbox': { en: 'outbox', fr: 'file d’attente' },
  'exit.broker': { en: 'broker', fr: 'broker' },
  'exit.check': { en: 'a check failed', fr: 'un contrôle a échoué' },
  'exit.identity': { en: 'the key or certificate', fr: 'la clé ou le certificat' },
  'exit.unchecked': { en: 'nothing failed, but a check could not be made', fr: 'aucun échec, mais un contrôle n’a pu être fait' },
  'exit.stopped': { en: 'stopped by hand', fr: 'arrêté à la main' },
  'exit.unread': { en: 'output not read to its end', fr: 'sortie non lue jusqu’au bout' },

  'man.name': { en: 'NAME', fr: 'NOM' },
  'man.synopsis': { en: 'SYNOPSIS', fr: 'SYNOPSIS' },
  'man.description': { en: 'DESCRIPTION', fr: 'DESCRIPTION' },
  'man.options': { en: 'OPTIONS', fr: 'OPTIONS' },
  'man.commands': { en: 'COMMANDS', fr: 'COMMANDES' },
  'man.exit': { en: 'EXIT STATUS', fr: 'CODE DE RETOUR' },
  'man.environment': { en: 'ENVIRONMENT', fr: 'ENVIRONNEMENT' },
  'man.files': { en: 'FILES', fr: 'FICHIERS' },
  'man.see': { en: 'SEE ALSO', fr: 'VOIR AUSSI' },
  'man.brief': { en: 'acoustic sensor that publishes events and never sound', fr: 'capteur acoustique qui publie des événements, jamais de son' },
  'man.command': { en: 'command', fr: 'commande' },
  'man.rest': { en: '[option ...] [argument ...]', fr: '[option ...] [argument ...]' },
  'man.halves': {
    en: 'Two services do the work. The listener hears the microphone and has no network; the courier publishes and has no microphone. An SQLite file, the outbox, is all that lies between them.',
    fr: 'Deux services font le travail. L’écouteur entend le microphone et n’a pas de réseau ; le courrier publie et n’a pas de microphone. Un fichier SQLite, la file d’attente, est tout ce qui les relie.',
  },
  'man.errors': {
    en: 'Errors go to standard error: a line with what was expected and what came, and a line with what to try.',
    fr: 'Les erreurs vont à la sortie d’erreur : une ligne dit ce qui était attendu et ce qui est venu, une autre quoi essayer.',
  },
  'man.env.locale': {
    en: 'the language if --lang is not given: French if the first of them that is set begins with fr, otherwise English',
    fr: 'la langue, sans --lang : français si la première définie commence par fr, sinon anglais',
  },
  'man.env.colour': { en: 'no colour, also on a terminal', fr: 'pas de couleur, même sur un terminal' },
  'man.file./etc/tocsin/tocsin.yaml': { en: 'the configuration: tocsin config example', fr: 'la configuration : tocsin config example' },
  'man.file./etc/tocsin/credentials/': {
    en: 'the sensor’s key, certificates and passwords; systemd hands them to the courier alone',
    fr: 'clé, certificats et mots de passe du capteur ; systemd ne les donne qu’au courrier',
  },
  'man.file./var/lib/tocsin/outbox.db': {
    en: 'the outbox: everything that could ever leave the sensor',
    fr: 'la file d’attente : tout ce qui pourrait jamais quitter le capteur',
  },

  'card.title': { en: 'field card', fr: 'fiche de terrain' },
  'card.blank.site': { en: 'site', fr: 'site' },
  'card.blank.sensor': { en: 'sensor', fr: 'capteur' },
  'card.blank.date': { en: 'date', fr: 'date' },
  'card.blank.technician': { en: 'technician', fr: 'technicien' },
  'card.mount': { en: 'Mount', fr: 'Poser' },
  'card.mount.microphone': {
    en: 'Microphone towards the street, membrane free and out of the rain, plug fixed so that it cannot work loose.',
    fr: 'Microphone vers la rue, membrane dégagée et à l’abri de la pluie, prise fixée pour ne pas se défaire.',
  },
  'card.mount.power': {
    en: 'Supply of 5.1 V and 3 A, short thick cable. Housing vented or in the shade.',
    fr: 'Alimentation de 5,1 V et 3 A, câble court et épais. Boîtier aéré ou à l’ombre.',
  },
  'card.mount.network': {
    en: 'Network cable or SIM in place; log in with SSH from phone or laptop.',
    fr: 'Câble réseau ou SIM en place ; connexion SSH du téléphone ou du portable.',
  },
  'card.check': { en: 'Check, in this order', fr: 'Contrôler, dans cet ordre' },
  'card.good.provision': {
    en: 'Only if the operator’s certificate is not installed yet: send the request, then --install.',
    fr: 'Seulement si le certificat de l’exploitant manque encore : envoyez la demande, puis --install.',
  },
  'card.good.meter': {
    en: 'Clap: good when the level jumps and falls back.',
    fr: 'Frappez des mains : bon si le niveau saute et retombe.',
  },
  'card.good.doctor': { en: 'Good when no line says FAIL.', fr: 'Bon si aucune ligne ne dit ÉCHEC.' },
  'card.good.selftest': {
    en: 'First stop the listener (sudo systemctl stop tocsin-listener). Good when the chain holds.',
    fr: 'Arrêtez d’abord l’écouteur (sudo systemctl stop tocsin-listener). Bon si la chaîne tient.',
  },
  'card.good.calibrate': { en: 'Only with a calibrator. Good when the value is stored.', fr: 'Seulement avec un calibreur. Bon si la valeur est écrite.' },
  'card.good.status': {
    en: 'First start both again (sudo systemctl restart tocsin.target). Good when both run and nothing waits.',
    fr: 'Relancez d’abord les deux services (sudo systemctl restart tocsin.target). Bon s’ils tournent et que rien n’attend.',
  },
  'card.good.commission': {
    en: 'Last, for the records. Good when it says Accepted; keep the folder it names.',
    fr: 'En dernier, pour les archives. Bon s’il dit Accepté ; gardez le dossier nommé.',
  },
  'card.trouble': { en: 'What doctor says, and what to do', fr: 'Ce que dit doctor, et que faire' },
  'card.more': { en: 'More: man tocsin.', fr: 'Tout le reste : man tocsin.' },
  'card.asked': { en: 'When a passer-by asks', fr: 'Quand un passant demande' },
  'card.answer': {
    en: 'This sensor recognises breaking glass, shouting and bangs, and forgets the sound within two seconds. It cannot record or transmit sound or words: the part that hears has no network.',
    fr: 'Ce capteur reconnaît bris de verre, cris et détonations, et oublie le son en deux secondes. Il ne peut ni enregistrer ni transmettre de son ou de paroles : la partie qui entend n’a pas de réseau.',
  },
} as const satisfies Record<string, Message>;
