import type { Message } from '../message.ts';

// What replay, evaluate and bench say.
export const recordings = {
  'replay.line': { en: '{onset} s  {label} {confidence}  {seconds} s long  {file}', fr: '{onset} s  {label} {confidence}  dure {seconds} s  {file}' },
  'replay.none': {
    en: 'No sound was recognised, with the thresholds “{point}”.',
    fr: 'Aucun son reconnu, avec les seuils « {point} ».',
  },
  'replay.zeros': {
    en: '{file}: nothing but exact zeros, which no street gives: was its recorder mute?',
    fr: '{file} : rien que des zéros exacts, ce qu’aucune rue ne donne : l’enregistreur était-il muet ?',
  },
  'recordings.lowRate': {
    en: 'Sampled at less than the {rate} Hz that the model takes: {n} of {files}, the first {file}. A recording holds no sound above half its sampling rate, so less is recognised in it.',
    fr: 'Échantillonnés à moins des {rate} Hz que prend le modèle : {n} sur {files}, le premier {file}. Un enregistrement ne contient aucun son au-dessus de la moitié de sa fréquence d’échantillonnage : on y reconnaît donc moins de sons.',
  },
  'replay.bar': { en: '{bar} {value}/{total} files, {eta_formatted} left', fr: '{bar} {value}/{total} fichiers, reste {eta_formatted}' },
  'evaluate.score': {
    en: 'macro F1 {f1} ({labels}), {alarms} false alarms an hour without a target',
    fr: 'F1 macro {f1} ({labels}), {alarms} fausses alertes par heure sans cible',
  },
  'evaluate.score.busy': {
    en: 'macro F1 {f1} ({labels}), {alarms} false alarms an hour; no scene is without a target',
    fr: 'F1 macro {f1} ({labels}), {alarms} fausses alertes par heure ; aucune scène n’est sans cible',
  },
  'evaluate.others': { en: 'Labelled as nothing to be reported: {list}.', fr: 'Étiquetés comme rien à signaler : {list}.' },
  'evaluate.written': { en: 'written: {path}', fr: 'écrit : {path}' },

  'evaluation.title': { en: 'What the sensor recognises in labelled scenes', fr: 'Ce que le capteur reconnaît dans des scènes étiquetées' },
  'evaluation.of': { en: 'Model {model}, thresholds “{point}”, scenes: {scenes}.', fr: 'Modèle {model}, seuils « {point} », scènes : {scenes}.' },
  'evaluation.macro': { en: 'Macro F1 {f1}', fr: 'F1 macro {f1}' },
  'evaluation.macro.is': {
    en: 'F1 is 1 where every sound is reported and nothing else; macro: the mean of the labels.',
    fr: 'F1 vaut 1 quand chaque son est signalé et rien d’autre ; macro : la moyenne des étiquettes.',
  },
  'evaluation.absent': {
    en: 'These scenes contain none of: {list}. In the macro F1 that counts as 0, whatever the sensor does.',
    fr: 'Dans ces scènes, rien de : {list}. Dans la moyenne macro cela compte pour 0, quoi que fasse le capteur.',
  },
  'evaluation.label': { en: 'label', fr: 'étiquette' },
  'evaluation.threshold': { en: 'threshold', fr: 'seuil' },
  'evaluation.reference': { en: 'in the scenes', fr: 'dans les scènes' },
  'evaluation.hits': { en: 'recognised', fr: 'reconnus' },
  'evaluation.falseAlarms': { en: 'false alarms', fr: 'fausses alertes' },
  'evaluation.repeats': { en: 'repeats', fr: 'répétitions' },
  'evaluation.recall': { en: 'recall', fr: 'rappel' },
  'evaluation.precision': { en: 'precision', fr: 'précision' },
  'evaluation.f1': { en: 'F1', fr: 'F1' },
  'evaluation.perHour': { en: 'false alarms an hour', fr: 'fausses alertes par heure' },
  'evaluation.alarms': {
    en: '{all} false alarms an hour over {hours} h; {quiet} an hour in the {quietHours} h of scenes without a sound to be reported.',
    fr: '{all} fausses alertes par heure sur {hours} h ; {quiet} par heure dans les {quietHours} h de scènes sans son à signaler.',
  },
  'evaluation.alarms.busy': {
    en: '{all} false alarms an hour over {hours} h; no scene is without a sound to be reported.',
    fr: '{all} fausses alertes par heure sur {hours} h ; aucune scène n’est sans son à signaler.',
  },
  'evaluation.latency': {
    en: 'What was recognised was reported {median} ms after its onset in the median, {p95} ms at the 95th percentile.',
    fr: 'Ce qui a été reconnu a été signalé {median} ms après son début en médiane, {p95} ms au 95e centile.',
  },
  'evaluation.bySnr': { en: 'Recall by level over the background: {list}.', fr: 'Rappel selon le niveau au-dessus du fond : {list}.' },
  'evaluation.atSnr': { en: '{snr} dB: {recall}', fr: '{snr} dB : {recall}' },
  'evaluation.causes': { en: 'What false alarms were: {list}.', fr: 'Ce qu’étaient les fausses alertes : {list}.' },
  'evaluation.causes.none': { en: 'there were none', fr: 'il n’y en a pas eu' },
  'evaluation.background': { en: 'background', fr: 'fond' },
  'evaluation.plot.precision': { en: 'Precision and recall, as the threshold moves', fr: 'Précision et rappel, quand le seuil varie' },
  'evaluation.plot.alarms': { en: 'F1 against false alarms, as the threshold moves', fr: 'F1 et fausses alertes, quand le seuil varie' },
  'evaluation.plot.threshold': { en: 'threshold {threshold}', fr: 'seuil {threshold}' },
  'evaluation.values': { en: 'The values of the plots', fr: 'Les valeurs des courbes' },
  'evaluation.hourly': { en: 'false/h', fr: 'fausses/h' },
  'evaluation.plot.beyond': {
    en: 'Thresholds with more than {most} false alarms an hour are left out.',
    fr: 'Les seuils à plus de {most} fausses alertes par heure sont omis.',
  },
  'bench.cost': {
    en: '{cost} ms of CPU per second of sound, {times} times real time, {megabytes} MB resident',
    fr: '{cost} ms de processeur par seconde de son, {times} fois le temps réel, {megabytes} Mo résidents',
  },
  'bench.slow': {
    en: 'Too slow for this board: a sensor needs twice real time at least, or it loses sound.',
    fr: 'Trop lent pour cette carte : il faut au moins deux fois le temps réel, sinon le capteur perd du son.',
  },
} as const satisfies Record<string, Message>;
