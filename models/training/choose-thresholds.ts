// Chooses the operating points on held-out scenes, with the agent's own classifier and detector, and writes them to the
// manifest: node choose-thresholds.ts MODEL_DIR SCENES_DIR... The labels share the budget so that macro F1 is highest, or
// as good as highest with fewer false alarms over all scenes; what is found is to be told soon enough, and of nearly as
// few false alarms those are taken where the latest are told sooner.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Label, labels } from '../../agent/classify/model-manifest.ts';
import { type Candidate, rulesOnScenes } from './scene-rules.ts';

const budgets = { balanced: 20, strict: 3 }; // false alarms an hour of all labels together, in scenes packed with confusers
const margin = 1.5; // how many times as many false alarms recordings of other sources may make
const soonSeconds = 0.4; // from an onset to the end of the frame that confirms it, in the median; filling the hop takes some 0.08 s more
const nearly = 1.05; // times as few false alarms
const indifference = 0.01; // of macro F1, which so few references do not tell apart: then fewer false alarms are better
const [modelDir = '', ...scenesDirs] = process.argv.slice(2);
if (scenesDirs.length === 0)
  throw new Error('Expected the folders of a model and of scenes, got none of scenes; try: node choose-thresholds.ts MODEL_DIR SCENES_DIR');
const { scenes, quietHours, choices } = await rulesOnScenes(modelDir, scenesDirs);

/** Whether so many false alarms an hour are within a budget by one standard error of their count, which is small. */
function isWithin(alarmsPerHour: number, budget: number): boolean {
  const count = alarmsPerHour * quietHours;
  return count + Math.sqrt(count) <= budget * quietHours;
}

/** Seconds from onset to event of what is found, of all labels together. */
function told(rules: readonly Candidate[], share: number): number {
  const latencies = rules.flatMap(({ result }) => result.latencies).sort((a, b) => a - b);
  return latencies[Math.floor(latencies.length * share)] ?? 0;
}

const path = join(modelDir, 'manifest.json');
const manifest = JSON.parse(readFileSync(path, 'utf8'));
for (const [point, budget] of Object.entries(budgets)) {
  const allowed: { rules: Candidate[]; f1: number; falseAlarms: number }[] = [];
  const [glass = [], shout = [], bang = []] = choices;
  for (const g of glass)
    for (const s of shout)
      for (const b of bang) {
        const alarms = g.result.falseAlarmsPerHour + s.result.falseAlarmsPerHour + b.result.falseAlarmsPerHour;
        const f1 = (g.result.f1 + s.result.f1 + b.result.f1) / 3;
        if (isWithin(alarms, budget / margin))
          allowed.push({ rules: [g, s, b], f1, falseAlarms: g.result.falseAlarms + s.result.falseAlarms + b.result.falseAlarms });
      }
  const soon = allowed.filter(({ rules }) => told(rules, 0.5) <= soonSeconds);
  const fast = soon.length > 0 ? soon : allowed;
  const bestF1 = Math.max(...fast.map(({ f1 }) => f1));
  const fit = fast.filter(({ f1 }) => f1 > bestF1 - indifference);
  const fewest = Math.min(...fit.map(({ falseAlarms }) => falseAlarms));
  const [best] = fit
    .filter(({ falseAlarms }) => falseAlarms <= fewest * nearly)
    .map((each) => ({ ...each, late: told(each.rules, 0.95) }))
    .sort((a, b) => a.late - b.late || a.falseAlarms - b.falseAlarms);
  if (!best) throw new Error(`Expected thresholds within ${budget} false alarms an hour, got none: the model needs more training`);
  manifest.operatingPoints[point].falseAlarmsPerHour = budget;
  best.rules.forEach(({ rule, result }, i) => {
    const label = labels[i] as Label;
    manifest.operatingPoints[point].labels[label] = rule;
    console.log(
      `${point} ${label}: open ${rule.open}, minimum ${rule.minDurationSeconds} s, smoothing ${rule.smoothingSeconds} s: recall ${result.recall.toFixed(2)}, F1 ${result.f1.toFixed(2)}, ${result.falseAlarmsPerHour.toFixed(1)} false alarms/h among confusers, told after ${Math.round(told([best.rules[i] as Candidate], 0.5) * 1000)} ms`,
    );
  });
}
const [balanced, strict] = Object.values(budgets).map((budget) => (budget / margin).toFixed(1));
manifest.thresholdsChosenOn = [
  `${scenes} scenes of 60 s, mixed from training recordings that were held out by group. The rules:`,
  `in scenes of confusers only, all labels together make at most ${balanced} (balanced) and ${strict} (strict) false alarms an hour, one standard error included (the budget divided by ${margin});`,
  `the median from the onset to the end of the frame that confirms is at most ${soonSeconds} s;`,
  `of the thresholds within ${indifference} of the highest macro F1 those with the fewest false alarms are taken,`,
  `and of those with up to ${nearly} times as many the ones with the lowest 95th percentile of latency`,
].join(' ');
writeFileSync(path, `${JSON.stringify(manifest, null, 2)}\n`);
