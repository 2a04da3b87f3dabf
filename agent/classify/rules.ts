import type { Config } from '../config/schema.ts';
import { type DetectionRule, type Label, labels, type ModelManifest } from './model-manifest.ts';

/** The detection rules of an operating point, with the configuration's thresholds in place of the manifest's. */
export function rulesOf(manifest: ModelManifest, model: Pick<Config['model'], 'operatingPoint' | 'open'>): Record<Label, DetectionRule> {
  const { labels: rules } = manifest.operatingPoints[model.operatingPoint];
  return Object.fromEntries(
    labels.map((label) => {
      const open = model.open[label] ?? rules[label].open;
      return [label, { ...rules[label], open, close: Math.min(rules[label].close, open) }];
    }),
  ) as Record<Label, DetectionRule>;
}

/** The score from which on each label is reported. */
export function thresholdsOf(rules: Record<Label, DetectionRule>): Record<Label, number> {
  return { glass_break: rules.glass_break.open, shout: rules.shout.open, bang: rules.bang.open };
}
