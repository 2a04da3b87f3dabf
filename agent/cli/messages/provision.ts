import type { Message } from '../message.ts';

export const provision = {
  'provision.made': {
    en: 'A key for {sensor} was made (public key {digest}); the private key stays on this sensor.',
    fr: 'Une clé pour {sensor} a été créée (clé publique {digest}) ; la clé privée reste sur ce capteur.',
  },
  'provision.again': {
    en: 'A request for {sensor} waits already and is printed again (public key {digest}). To make another: --discard',
    fr: 'Une demande pour {sensor} attend déjà et est affichée de nouveau (clé publique {digest}). Pour en faire une autre : --discard',
  },
  'provision.next': {
    en: 'Have this request signed by your authority, then: sudo tocsin provision --install CERTIFICATE --ca CA',
    fr: 'Faites signer cette demande par votre autorité, puis : sudo tocsin provision --install CERTIFICAT --ca AC',
  },
  'provision.sensor': { en: 'sensor', fr: 'capteur' },
  'provision.issuer': { en: 'signed by', fr: 'signé par' },
  'provision.until': { en: 'valid until', fr: 'valable jusqu’au' },
  'provision.installed': { en: 'installed', fr: 'installé' },
  'provision.unnamed': { en: 'Not used yet. Add under mqtt in {path}: {keys}', fr: 'Pas encore utilisé. Ajoutez sous mqtt dans {path} : {keys}' },
  'provision.restart': {
    en: 'systemd hands the courier key and certificate when it starts: sudo systemctl restart tocsin-courier; on a new sensor: sudo systemctl start tocsin.target. Then: sudo tocsin doctor',
    fr: 'systemd remet clé et certificat au courrier à son démarrage : sudo systemctl restart tocsin-courier ; sur un nouveau capteur : sudo systemctl start tocsin.target. Puis : sudo tocsin doctor',
  },
} as const satisfies Record<string, Message>;
