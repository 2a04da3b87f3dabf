import type { Message } from '../message.ts';

export const selftest = {
  'selftest.title': { en: 'Tocsin selftest: sound in, event back from the broker', fr: 'Tocsin selftest : un son entre, l’événement revient du broker' },
  'selftest.step.sound': { en: 'sound', fr: 'son' },
  'selftest.step.heard': { en: 'heard', fr: 'reconnu' },
  'selftest.step.stored': { en: 'stored', fr: 'gardé' },
  'selftest.step.accepted': { en: 'accepted', fr: 'accepté' },
  'selftest.step.returned': { en: 'back', fr: 'revenu' },
  'selftest.sound.file': { en: 'the bundled test sound, {seconds} s, without a microphone', fr: 'le son de test fourni, {seconds} s, sans microphone' },
  'selftest.sound.speaker': {
    en: 'the test sound: speaker {device}, microphone {microphone}',
    fr: 'le son de test : haut-parleur {device}, microphone {microphone}',
  },
  'selftest.sound.ask': {
    en: 'Play {file} from a phone close to the sensor, or break glass near it. Waiting {seconds} s...',
    fr: 'Jouez {file} d’un téléphone près du capteur, ou brisez du verre à côté. Attente : {seconds} s...',
  },
  'selftest.heard.ok': {
    en: '{label}, confidence {confidence}, {level} dB above background',
    fr: '{label}, confiance {confidence}, {level} dB au-dessus du fond',
  },
  'selftest.stored.ok': { en: 'in an outbox of its own on the disk of the real one', fr: 'dans une file à part, sur le disque de la vraie' },
  'selftest.accepted.ok': { en: 'by {broker}', fr: 'par {broker}' },
  'selftest.returned.ok': { en: 'the same event on {topic}', fr: 'le même événement sur {topic}' },
  'selftest.returned.oneWay': { en: 'not waited for (--one-way)', fr: 'non attendu (--one-way)' },
  'selftest.whole': { en: 'The chain holds. From sound to broker: {ms} ms.', fr: 'La chaîne tient. Du son au broker : {ms} ms.' },

  'selftest.broke': { en: 'the chain broke at the {link}: {reason}', fr: 'la chaîne est rompue ({link}) : {reason}' },
  'selftest.link.speaker': { en: 'speaker', fr: 'haut-parleur' },
  'selftest.link.microphone': { en: 'microphone', fr: 'microphone' },
  'selftest.link.model': { en: 'model', fr: 'modèle' },
  'selftest.link.outbox': { en: 'outbox', fr: 'file d’attente' },
  'selftest.link.broker': { en: 'broker', fr: 'broker' },
  'selftest.link.acl': { en: 'ACL', fr: 'droits' },
  'selftest.speaker': { en: '{device} plays nothing: {reason}', fr: '{device} ne joue rien : {reason}' },
  'selftest.speaker.try': {
    en: 'aplay -L lists what can play; name one: --speaker DEVICE',
    fr: 'aplay -L liste ce qui peut jouer ; nommez-en un : --speaker APPAREIL',
  },
  'selftest.nothing': { en: 'it gives no sound data', fr: 'il ne donne aucune donnée' },
  'selftest.nothing.try': { en: 'sudo tocsin doctor', fr: 'sudo tocsin doctor' },
  'selftest.silent': { en: 'only {level} dBFS came in', fr: 'seulement {level} dBFS sont entrés' },
  'selftest.silent.try': { en: 'play it louder and closer; then: sudo tocsin doctor', fr: 'jouez plus fort et plus près ; puis : sudo tocsin doctor' },
  'selftest.unrecognised': { en: 'sound came in ({level} dBFS) but nothing was recognised', fr: 'du son est entré ({level} dBFS) mais rien n’a été reconnu' },
  'selftest.unrecognised.try': {
    en: 'check model.open and model.operatingPoint in the configuration; where a microphone heard it, play it again, closer',
    fr: 'vérifiez model.open et model.operatingPoint dans la configuration ; si un microphone l’a entendu, recommencez plus près',
  },
  'selftest.busy': { en: 'another program uses it, most likely the listener', fr: 'un autre programme l’utilise, sans doute l’écouteur' },
  'selftest.busy.try': {
    en: 'sudo systemctl stop tocsin-listener; try again; sudo systemctl start tocsin-listener',
    fr: 'sudo systemctl stop tocsin-listener ; recommencez ; sudo systemctl start tocsin-listener',
  },
  'selftest.noFolder': { en: '{folder} does not exist', fr: '{folder} n’existe pas' },
  'selftest.noFolder.try': {
    en: 'sudo systemctl start tocsin.target makes it; or correct outbox.path',
    fr: 'sudo systemctl start tocsin.target le crée ; ou corrigez outbox.path',
  },
  'selftest.forbidden': { en: 'this user may not use {path}', fr: 'cet utilisateur n’a pas accès à {path}' },
  'selftest.forbidden.try': { en: 'sudo tocsin selftest', fr: 'sudo tocsin selftest' },
  'selftest.unreadable': { en: 'the real outbox {path} cannot be read ({reason})', fr: 'la vraie file {path} ne peut être lue ({reason})' },
  'selftest.unreadable.try': { en: 'sudo tocsin doctor', fr: 'sudo tocsin doctor' },
  'selftest.link': { en: '{broker}: {what}', fr: '{broker} : {what}' },
  'selftest.link.try': { en: 'sudo tocsin doctor', fr: 'sudo tocsin doctor' },
  'selftest.refused': { en: 'the broker refuses {topic} (reason {code})', fr: 'le broker refuse {topic} (raison {code})' },
  'selftest.refused.try': {
    en: 'ask the operator to let this sensor publish on {topic}; are site and sensor right?',
    fr: 'demandez à l’exploitant le droit de publier sur {topic} ; site et sensor sont-ils justes ?',
  },
  'selftest.notReturned': {
    en: 'the broker took the event but did not give it back from {topic}',
    fr: 'le broker a pris l’événement mais ne l’a pas rendu depuis {topic}',
  },
  'selftest.notReturned.try': {
    en: 'ask the operator to let this sensor read {topic}, or do without: sudo tocsin selftest --one-way',
    fr: 'demandez à l’exploitant le droit de lire {topic}, ou passez-vous-en : sudo tocsin selftest --one-way',
  },
} as const satisfies Record<string, Message>;
