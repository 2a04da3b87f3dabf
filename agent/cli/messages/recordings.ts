import type { Message } from '../translate.ts';

// What replay, evaluate and bench say.
export const recordings = {
  'replay.line': { en: '{onset} s  {label} {confidence}  {seconds} s long  {file}', fr: '{onset} s  {label} {confidence}  dure {seconds} s  {file}' },
  'replay.bar': { en: '{bar} {value}/{total} files, {eta_formatted} left', fr: '{bar} {value}/{total} fichiers, reste {eta_formatted}' },
  'evaluate.score': {
    en: 'macro F1 {f1} ({labels}), {alarms} false alarms an hour without a target',
    fr: 'F1 macro {f1} ({labels}), {alarms} fausses alertes par heure sans cible',
  },
  'evaluate.written': { en: 'written: {path}', fr: 'écrit : {path}' },
  'bench.cost': {
    en: '{cost} ms of CPU per second of sound, {times} times real time, {megabytes} MB resident',
    fr: '{cost} ms de processeur par seconde de son, {times} fois le temps réel, {megabytes} Mo résidents',
  },
} as const satisfies Record<string, Message>;
