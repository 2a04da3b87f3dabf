// What a model finds in scenes by each rule worth having, with the agent's own classifier and detector.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openRecording } from '../../agent/audio/audio-file.ts';
import type { ScoreFrame } from '../../agent/classify/classifier.ts';
import { type DetectionRule, type Label, labels } from '../../agent/classify/model-manifest.ts';
import { openOnnxClassifier } from '../../agent/classify/onnx-classifier.ts';
import type { Scene } from '../../agent/cli/scoring.ts';
import { openEventDetector } from '../../agent/events/event-detector.ts';

const collarSeconds = 1;

/** A rule of one label and what it finds. Seconds of latency are from an onset to the end of the frame that confirms it. */
export interface Candidate {
  rule: DetectionRule;
  result: { recall: number; f1: number; falseAlarms: number; falseAlarmsPerHour: number; latencies: number[] };
}

/**
 * Runs the model of `modelDir` over all scenes of the folders. Of each label it gives the rules of which none has another
 * as long a smoothing, a better F1 and fewer false alarms; an hour counts in scenes without a target.
 */
export async function rulesOnScenes(modelDir: string, scenesDirs: readonly string[]): Promise<{ scenes: number; quietHours: number; choices: Candidate[][] }> {
  const scenes = scenesDirs.flatMap((dir) =>
    (JSON.parse(readFileSync(join(dir, 'scenes.json'), 'utf8')) as Scene[]).map((scene) => ({ ...scene, file: join(dir, scene.file) })),
  );
  const classifier = await openOnnxClassifier(modelDir);
  const frames: ScoreFrame[][] = [];
  for (const scene of scenes) {
    const source = await openRecording(scene.file, classifier.sampleRate);
    const heard: ScoreFrame[] = [];
    for await (const frame of source.frames(new AbortController().signal)) heard.push(...(await classifier.push(frame.samples)));
    classifier.reset();
    frames.push(heard);
  }
  await classifier.close();
  const quietHours = scenes.filter((s) => s.events.every((e) => !e.label)).reduce((sum, s) => sum + s.seconds, 0) / 3600;

  function score(label: Label, rule: DetectionRule): Candidate['result'] {
    let reference = 0;
    let falseAlarms = 0;
    let quietFalseAlarms = 0;
    const latencies: number[] = [];
    scenes.forEach((scene, i) => {
      const wanted = scene.events.filter((e) => e.label === label);
      reference += wanted.length;
      const detector = openEventDetector([label], { [label]: rule } as Record<Label, DetectionRule>, classifier.frameSeconds);
      const found: { onset: number; toldSeconds: number }[] = [];
      const index = labels.indexOf(label);
      for (const frame of frames[i] as ScoreFrame[])
        for (const d of detector.push({ ...frame, scores: [frame.scores[index] as number] }).confirmed)
          found.push({ onset: d.onsetSeconds, toldSeconds: frame.endSeconds + classifier.manifest.latencySeconds });
      const matches = (onset: number, e: Scene['events'][number]) => Math.abs(onset - e.onset) <= collarSeconds || (onset >= e.onset && onset <= e.offset);
      for (const e of wanted) {
        const first = found.find(({ onset }) => matches(onset, e));
        if (first) latencies.push(first.toldSeconds - e.onset);
      }
      const wrong = found.filter(({ onset }) => !wanted.some((e) => matches(onset, e))).length;
      falseAlarms += wrong;
      if (scene.events.every((e) => !e.label)) quietFalseAlarms += wrong;
    });
    const hits = latencies.length;
    const precision = hits / Math.max(1, hits + falseAlarms);
    const recall = hits / Math.max(1, reference);
    return {
      recall,
      f1: (2 * precision * recall) / Math.max(1e-9, precision + recall),
      falseAlarms,
      falseAlarmsPerHour: quietFalseAlarms / quietHours,
      latencies,
    };
  }

  function candidates(label: Label): Candidate[] {
    const base = classifier.manifest.operatingPoints.balanced.labels[label];
    const durations = label === 'shout' ? [0.08, 0.16, 0.28] : [0, 0.08];
    const smoothings = label === 'shout' ? [0.08, 0.16, 0.32] : [0.04, 0.08, 0.16];
    return smoothings.flatMap((smoothingSeconds) => {
      const all: Candidate[] = [];
      for (const minDurationSeconds of durations)
        for (let logit = -1.5; logit < 6; logit += 0.25) {
          const open = Math.round(10_000 / (1 + Math.exp(-logit))) / 10_000;
          const rule = { ...base, open, close: Math.round(open * 6000) / 10_000, minDurationSeconds, smoothingSeconds };
          all.push({ rule, result: score(label, rule) });
        }
      all.sort((a, b) => a.result.falseAlarms - b.result.falseAlarms || b.result.f1 - a.result.f1);
      const worth: Candidate[] = [];
      for (const candidate of all) if (candidate.result.f1 > (worth.at(-1)?.result.f1 ?? -1)) worth.push(candidate);
      return worth;
    });
  }
  return { scenes: scenes.length, quietHours, choices: labels.map(candidates) };
}
