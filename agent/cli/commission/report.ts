import type { Label } from '../../classify/model-manifest.ts';
import { toJson } from '../doctor.ts';
import { type Occasion, reportOf, type VerificationReport } from '../privacy/report.ts';
import { countOf } from '../privacy/verify.ts';
import { wholeMs } from '../selftest/trial.ts';
import type { Translate } from '../translate.ts';
import type { Signer } from './seal.ts';
import { passed, type StageName, type Stages, stageNames } from './stages.ts';

/** refused: something failed; incomplete: nothing did, but something could not be tried. */
type Verdict = 'accepted' | 'incomplete' | 'refused';

/** What the report is of, besides what was found. */
export interface Subject extends Occasion {
  readonly clockSynchronised: boolean;
  readonly model: { readonly name: string; readonly version: string; readonly sha256: string };
  /** A score over its threshold opens the gate of its label. */
  readonly thresholds: Readonly<Record<Label, number>>;
  readonly configSha256: string;
}

export type Complete = Required<Stages>;

export function verdictOf(stages: Complete): Verdict {
  if (!stageNames.every((name) => passed(stages, name))) return 'refused';
  return untried(stages).length > 0 ? 'incomplete' : 'accepted';
}

/** Stages of which a part could not be tried: the microphone, the way back from the broker, a check. */
export function untried({ selftest, privacy }: Complete): StageName[] {
  const wasHeardAndReturned = selftest.sound !== 'file' && selftest.latencyMs.returned !== undefined;
  return [...(wasHeardAndReturned ? [] : ['selftest' as const]), ...(countOf(privacy).unchecked > 0 ? ['privacy' as const] : [])];
}

/** The report as JSON: names that stay, and sentences in the language of `t`. */
export function commissionJson(stages: Complete, subject: Subject, signer: Signer, t: Translate) {
  const { doctor, selftest, privacy } = stages;
  const { reason, hint, ...plain } = selftest;
  const { site, sensor, version, bootId, time } = subject;
  return {
    format: 'tocsin-commission/1',
    verdict: verdictOf(stages),
    ...subject,
    publicKeySha256: signer.publicKeySha256,
    doctor: doctor.map((result) => toJson(result, t)),
    selftest: {
      ...plain,
      ...(selftest.ok ? { wholeMs: wholeMs(selftest.latencyMs) } : {}),
      ...(reason === undefined ? {} : { reason: t.of(reason) }),
      ...(hint === undefined ? {} : { try: t.of(hint) }),
    },
    privacy: reportOf(privacy, { site, sensor, version, bootId, time }, t) satisfies VerificationReport,
  };
}
