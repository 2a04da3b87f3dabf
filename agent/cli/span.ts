import type { Stamp } from '../delivery/stamp.ts';
import { type Text, type Translate, text } from './translate.ts';

/** A span of time as a person says it. */
export function spanText(ms: number, whole = Math.round): Text {
  const seconds = Math.max(0, whole(ms / 1000));
  if (seconds < 90) return text('span.seconds', { n: seconds });
  if (seconds < 5400) return text('span.minutes', { n: whole(seconds / 60) });
  if (seconds < 172_800) return text('span.hours', { n: whole(seconds / 3600) });
  return text('span.days', { n: whole(seconds / 86_400) });
}

/** How long ago that was, or longer ago than what: rounded down, since it may be no more. */
export function ageText({ ageMs, ageKnown }: Pick<Stamp, 'ageMs' | 'ageKnown'>): Text {
  return ageKnown ? spanText(ageMs) : text('span.over', { span: spanText(ageMs, Math.floor) });
}

/** A moment as a person reads it. */
export function utcTime(time: number | string, to: 'minute' | 'second'): string {
  return `${new Date(time)
    .toISOString()
    .slice(0, to === 'minute' ? 16 : 19)
    .replace('T', ' ')} UTC`;
}

export const spanOf = (ms: number, t: Translate): string => t.of(spanText(ms));
