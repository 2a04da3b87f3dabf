import type { Message } from '../message.ts';

export const provision = {
  'provision.made': {
    en: 'A key for {sensor} was made (public key {digest}); it stays here.',
    fr: 'Une clé pour {sensor} a été faite (clé publique {digest}) ; elle reste ici.',
  },
  'provision.again': {
    en: 'The request for {sensor} that waits already (public key {digest}). Another one: --discard',
    fr: 'La demande pour {sensor} qui attend déjà (clé publique {digest}). En faire une autre : --discard',
  },
  'provision.next': {
    en: 'Have this request signed by your authority, then: sudo tocsin provision --install CERTIFICATE --ca CA',
    fr: 'Faites signer cette demande par votre autorité, puis : sudo tocsin provision --install CERTIFICAT --ca AC',
  },
  'provision.sensor': { en: 'sensor', fr: 'capteur' },
  'provision.issuer': { en: 'signed by', fr: 'signé par' },
  'provision.until': { en: 'valid until', fr: 'valable jusqu’au' },
  'provision.installed': { en: 'installed', fr: 'installé' },
  'provision.unnamed': { en: 'Not used yet. Under mqtt in {path}: {keys}', fr: 'Pas encore utilisé. Sous mqtt dans {path} : {keys}' },
  'provision.restart': {
    en: 'The courier reads key and certificate when it starts: sudo systemctl restart tocsin-courier; on a new sensor: sudo systemctl start tocsin.target. Then: sudo tocsin doctor',
    fr: 'Le courrier lit clé et certificat à son démarrage : sudo systemctl restart tocsin-courier ; sur un nouveau capteur : sudo systemctl start tocsin.target. Puis : sudo tocsin doctor',
  },
} as const satisfies Record<string, Message>;
