import type { Message } from '../message.ts';

export const thresholds = {
  'thresholds.title': { en: 'Thresholds for {budget} a week', fr: 'Seuils pour {budget} par semaine' },
  'thresholds.based': { en: 'based on', fr: 'fondé sur' },
  'thresholds.days': { en: '{days} days of listening', fr: '{days} jours d’écoute' },
  'thresholds.bound': { en: 'bound', fr: 'borne' },
  'thresholds.bound.is': {
    en: 'no event in {days} days, and no threshold raised: fewer than {bound} a week (3/T, at 95 %)',
    fr: 'aucun événement en {days} jours, et aucun seuil relevé : moins de {bound} par semaine (3/T, à 95 %)',
  },
  'thresholds.short': {
    en: 'less than a week: weekends may be missing; look again later',
    fr: 'moins d’une semaine : le week-end manque peut-être ; revoyez plus tard',
  },
  'thresholds.plot': {
    en: 'Events in {days} days, had this been the threshold (bars: logarithm):',
    fr: 'Événements en {days} jours avec ce seuil (barres : logarithme) :',
  },
  'thresholds.legend': { en: '* in force, > proposed', fr: '* en vigueur, > proposé' },
  'thresholds.own': { en: '(of this site)', fr: '(de ce site)' },
  'thresholds.ofModel': { en: 'of the model ({point})', fr: 'du modèle ({point})' },
  'thresholds.ofSite': { en: 'of this site: {list}', fr: 'de ce site : {list}' },
  'thresholds.same': { en: '{before} stays; events: {events}', fr: '{before} reste ; événements : {events}' },
  'thresholds.change': { en: '{before} -> {after}; events: {was} -> {events}', fr: '{before} -> {after} ; événements : {was} -> {events}' },
  'thresholds.together': {
    en: 'Events of all labels together: {events}, {week} a week; with 95 % confidence fewer than {bound} a week, while the street stays as it was.',
    fr: 'Événements en tout : {events}, {week} par semaine ; moins de {bound} par semaine, avec une confiance de 95 %, tant que la rue reste ce qu’elle était.',
  },
  'thresholds.added': {
    en: 'Events added to this bound, because thresholds were raised to fit these same counts: {added}.',
    fr: 'Événements ajoutés dans cette borne, car des seuils ont été relevés d’après ces mêmes comptes : {added}.',
  },
  'thresholds.real': {
    en: 'Every sound that would have been published is counted, real ones too, so false alarms can only be fewer. Higher thresholds also miss more sounds.',
    fr: 'Sont comptés tous les sons qui auraient été publiés, les vrais aussi : les fausses alertes ne peuvent être que moins nombreuses. Un seuil plus haut en fait aussi manquer davantage.',
  },
  'thresholds.stored': {
    en: 'Stored as model.open in {path}. To apply it: sudo systemctl restart tocsin.target',
    fr: 'Écrit dans model.open de {path}. Pour l’appliquer : sudo systemctl restart tocsin.target',
  },
  'thresholds.unchanged': { en: 'These are in force already: there is nothing to store.', fr: 'Ils sont déjà en vigueur : rien à écrire.' },
  'thresholds.notStored': {
    en: 'Nothing is stored. To store them: the same command with --write',
    fr: 'Rien n’est écrit. Pour les écrire : la même commande avec --write',
  },
  'thresholds.few': {
    en: 'Expected {needed} days of listening for a budget of {budget} a week, got {days}',
    fr: 'Attendu {needed} jours d’écoute pour un budget de {budget} par semaine, obtenu {days}',
  },
  'thresholds.few.raised': {
    en: 'Expected {needed} days of listening to raise thresholds for a budget of {budget} a week ({raised}), got {days}',
    fr: 'Attendu {needed} jours d’écoute pour relever des seuils avec un budget de {budget} par semaine ({raised}), obtenu {days}',
  },
  'thresholds.few.try': {
    en: 'wait, or take a larger budget: so few days can at best show fewer than {bound} a week',
    fr: 'attendez, ou prenez un budget plus large : si peu de jours montrent au mieux moins de {bound} par semaine',
  },
  'thresholds.less': {
    en: 'leave out --days, or take a larger budget: so few days can at best show fewer than {bound} a week',
    fr: 'omettez --days, ou prenez un budget plus large : si peu de jours montrent au mieux moins de {bound} par semaine',
  },
  'thresholds.kept': {
    en: 'take a larger budget: counts are kept for {days} days, which can at best show fewer than {bound} a week',
    fr: 'prenez un budget plus large : les comptes sont gardés {days} jours, ce qui montre au mieux moins de {bound} par semaine',
  },
  'thresholds.wait': {
    en: 'let tocsin-listener run: it stores its counts every hour, for this model and operating point',
    fr: 'laissez tourner tocsin-listener : il garde ses comptes chaque heure, pour ce modèle et ce point de fonctionnement',
  },
  'thresholds.none': {
    en: 'Expected a threshold that keeps within {budget} a week, got more events even at the highest',
    fr: 'Attendu un seuil qui respecte {budget} par semaine, obtenu davantage d’événements même au plus haut',
  },
  'thresholds.none.try': {
    en: 'sudo tocsin meter shows what fires; real sounds are no false alarms: take a larger budget, or another place for the microphone',
    fr: 'sudo tocsin meter montre ce qui déclenche ; les vrais sons ne sont pas de fausses alertes : budget plus large, ou autre place du micro',
  },
} as const satisfies Record<string, Message>;
