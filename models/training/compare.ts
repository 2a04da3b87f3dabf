// Compares models without choosing thresholds: node compare.ts MODEL_DIR... -- SCENES_DIR... For each label and the mean
// of all it prints the best F1 by any rule, and within 6.7, 3 and 1 false alarms an hour in scenes without a target. Each
// figure is the mean over the folders of scenes.
import { labels } from '../../agent/classify/model-manifest.ts';
import { rulesOnScenes } from './scene-rules.ts';

const budgets = [Number.POSITIVE_INFINITY, 6.7, 3, 1];
const words = process.argv.slice(2);
const models = words.slice(0, words.indexOf('--'));
const scenesDirs = words.slice(words.indexOf('--') + 1);
if (!words.includes('--') || models.length === 0 || scenesDirs.length === 0)
  throw new Error(`Expected folders of models and of scenes, got ${words.join(' ') || 'nothing'}; try: node compare.ts MODEL_DIR... -- SCENES_DIR...`);
const mean = (values: number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
for (const model of models) {
  const best: number[][][] = []; // folder, budget, label
  for (const dir of scenesDirs) {
    const { choices } = await rulesOnScenes(model, [dir]);
    best.push(
      budgets.map((budget) => choices.map((rules) => Math.max(0, ...rules.filter((r) => r.result.falseAlarmsPerHour <= budget).map((r) => r.result.f1)))),
    );
  }
  const columns = budgets.map((_, b) => labels.map((_, label) => mean(best.map((folder) => folder[b]?.[label] ?? 0))));
  console.log(
    `${model}: mean ${columns.map((c) => mean(c).toFixed(3)).join(' | ')}; ${labels.join(' / ')} ${columns.map((c) => c.map((v) => v.toFixed(2)).join(' / ')).join(' | ')}`,
  );
}
