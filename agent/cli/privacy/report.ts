import { hash } from 'node:crypto';
import type { Verification } from '../../events/privacy.ts';
import type { Translate } from '../translate.ts';
import type { Line } from './check.ts';
import { countOf } from './verify.ts';

/** Where and when: what a report is of. */
export interface Occasion {
  readonly site: string;
  readonly sensor: string;
  readonly version: string;
  readonly bootId: string;
  readonly time: string;
}

export interface VerificationReport extends Occasion {
  readonly state: Verification['state'];
  readonly passed: number;
  readonly failed: number;
  readonly unchecked: number;
  readonly checks: readonly { check: string; part: string; state: string; finding: string; what: string; how: string; found: string; byHand: string }[];
  /** sha256 of the report without it: `jq -cj 'del(.digest)' | sha256sum`. */
  readonly digest: string;
}

export function reportOf(lines: readonly Line[], occasion: Occasion, t: Translate): VerificationReport {
  const { pass: passed, fail: failed, unchecked } = countOf(lines);
  const state = failed > 0 ? 'failed' : unchecked > 0 ? 'incomplete' : 'passed';
  const checks = lines.map(({ check, part, state, found, what, how, byHand }) => ({
    check,
    part,
    state,
    finding: found.key.replace(/^privacy\./, ''),
    what: t.of(what),
    how: t.of(how),
    found: t.of(found),
    byHand,
  }));
  const report = { ...occasion, state, passed, failed, unchecked, checks } as const;
  return { ...report, digest: hash('sha256', JSON.stringify(report)) };
}

/** What of a report is published. */
export function verificationOf({ state, time, digest, passed, failed, unchecked }: VerificationReport): Verification {
  return { state, time, digest, passed, failed, unchecked };
}
