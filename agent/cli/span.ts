import type { Stamp } from '../delivery/stamp.ts';
import { type Text, type Translate, text } from './translate.ts';

/** A span of time as a person says it. */
export function spanText(ms: number): Text {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return text('span.seconds', { n: seconds });
  if (seconds < 5400) return text('span.minutes', { n: Math.round(seconds / 60) });
  if (seconds < 172_800) return text('span.hours', { n: Math.round(seconds / 3600) });
  return text('span.days', { n: Math.round(seconds / 86_400) });
}

/** How long ago that was, or longer ago than what. */
export function ageText({ ageMs, ageKnown }: Pick<Stamp, 'ageMs' | 'ageKnown'>): Text {
  return ageKnown ? spanText(ageMs) : text('span.over', { span: spanText(ageMs) });
}

/** A moment as a person reads it. */
export function utcTime(time: number | string, to: 'minute' | 'second'): string {
  return `${new Date(time)
    .toISOString()
    .slice(0, to === 'minute' ? 16 : 19)
    .replace('T', ' ')} UTC`;
}

export const spanOf = (ms: number, t: Translate): string => t.of(spanText(ms));
