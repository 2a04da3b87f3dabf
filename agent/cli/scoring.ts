import { type Label, labels } from '../classify/model-manifest.ts';

/** A labelled scene: `events` without a label are confusers. Times in seconds, `snr` in dB over the bed. */
export interface Scene {
  readonly file: string;
  readonly seconds: number;
  readonly events: readonly { onset: number; offset: number; kind?: string; label?: Label; snr?: number }[];
}
/** A scene before it is heard: a label track does not tell how long its recording is. */
export interface Labelled extends Omit<Scene, 'seconds'> {
  readonly seconds?: number;
  /** The file of its label track. */
  readonly track?: string;
}
export interface Found {
  readonly file: string;
  readonly label: Label;
  readonly onsetSeconds: number;
  readonly confidence: number;
  /** When it was told, on the sample clock: once the hop was full whose scores made it sure. */
  readonly toldSeconds: number;
}
interface LabelScore {
  reference: number;
  hit: number;
  falseAlarm: number;
  repeat: number;
  recall: number;
  precision: number;
  f1: number;
}
export interface Score {
  macroF1: number;
  perLabel: Record<Label, LabelScore>;
  /** By level over the background in dB, of the references whose level the scenes tell. */
  recallBySnr: Record<string, number>;
  hours: number;
  quietHours: number;
  falseAlarmsPerHour: number;
  /** In the scenes that hold no target, where there are any. */
  falseAlarmsPerHourQuiet?: number;
  falseAlarmCauses: Record<string, number>;
  /** From the reference onset to the report, of what was recognised, if anything was. */
  latencySeconds?: { median: number; p95: number };
}

const collar = 1;

/**
 * Event-based score with an onset collar: an event is right if its label is, and its onset lies within `collar` seconds
 * of a reference onset not yet taken, or inside that reference. A second alarm for the same reference is a repeat,
 * neither right nor wrong. (Mesaros et al., "Metrics for polyphonic sound event detection", 2016.)
 */
export function scoreEvents(scenes: readonly Scene[], found: readonly Found[]): Score {
  const perLabel = Object.fromEntries(labels.map((l) => [l, { reference: 0, hit: 0, falseAlarm: 0, repeat: 0, recall: 0, precision: 0, f1: 0 }])) as Record<
    Label,
    LabelScore
  >;
  const bySnr = new Map<number, { reference: number; hit: number }>();
  const causes = new Map<string, number>();
  let quietFalseAlarms = 0;
  const latencies: number[] = [];
  const byFile = Map.groupBy(found, ({ file }) => file);
  for (const scene of scenes) {
    const reference = scene.events.filter((e) => e.label);
    for (const e of reference) perLabel[e.label as Label].reference++;
    const taken = new Set<object>();
    const events = (byFile.get(scene.file) ?? []).toSorted((a, b) => b.confidence - a.confidence);
    for (const event of events) {
      const near = reference.filter(
        (r) =>
          r.label === event.label && (Math.abs(event.onsetSeconds - r.onset) <= collar || (event.onsetSeconds >= r.onset && event.onsetSeconds <= r.offset)),
      );
      const free = near.filter((r) => !taken.has(r)).toSorted((a, b) => Math.abs(event.onsetSeconds - a.onset) - Math.abs(event.onsetSeconds - b.onset))[0];
      const label = perLabel[event.label];
      if (free) {
        taken.add(free);
        latencies.push(event.toldSeconds - free.onset);
        label.hit++;
      } else if (near.length > 0) label.repeat++;
      else {
        label.falseAlarm++;
        if (reference.length === 0) quietFalseAlarms++;
        const cause = scene.events.find((r) => event.onsetSeconds >= r.onset - collar && event.onsetSeconds <= r.offset + 0.5);
        const name = cause?.label || cause?.kind || 'background';
        causes.set(name, (causes.get(name) ?? 0) + 1);
      }
    }
    for (const r of reference) {
      if (r.snr === undefined) continue;
      const snr = Math.round(r.snr); // -0.3 dB give -0, which a Map takes for 0
      const group = bySnr.get(snr) ?? { reference: 0, hit: 0 };
      bySnr.set(snr, group);
      group.reference++;
      if (taken.has(r)) group.hit++;
    }
  }
  for (const label of Object.values(perLabel)) {
    label.recall = ratio(label.hit, label.reference);
    label.precision = ratio(label.hit, label.hit + label.falseAlarm);
    label.f1 = ratio(2 * label.recall * label.precision, label.recall + label.precision);
  }
  const hours = sum(scenes.map((s) => s.seconds)) / 3600;
  const quietHours = sum(scenes.filter((s) => s.events.every((e) => !e.label)).map((s) => s.seconds)) / 3600;
  latencies.sort((a, b) => a - b);
  return {
    macroF1: sum(labels.map((l) => perLabel[l].f1)) / labels.length,
    perLabel,
    recallBySnr: Object.fromEntries([...bySnr].toSorted(([a], [b]) => a - b).map(([snrDb, { hit, reference }]) => [snrDb, ratio(hit, reference)])),
    hours,
    quietHours,
    falseAlarmsPerHour: ratio(sum(labels.map((l) => perLabel[l].falseAlarm)), hours),
    ...(quietHours > 0 ? { falseAlarmsPerHourQuiet: quietFalseAlarms / quietHours } : {}),
    falseAlarmCauses: Object.fromEntries(causes),
    ...(latencies.length > 0 ? { latencySeconds: { median: medianOf(latencies), p95: p95Of(latencies) } } : {}),
  };
}

function ratio(a: number, b: number): number {
  return b === 0 ? 0 : a / b;
}
function sum(values: number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
/** Of an even number the upper of the two in the middle. */
function medianOf(sorted: number[]): number {
  return sorted[sorted.length >> 1] as number;
}
/** The least that 95 % do not exceed. */
function p95Of(sorted: number[]): number {
  return sorted[Math.ceil((95 * sorted.length) / 100) - 1] as number;
}
