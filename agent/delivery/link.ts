import type { Health } from '../events/health.ts';
import { type EventRefusal, eventRefusals, type LinkFault, linkFaults } from '../lib/faults.ts';

type LinkState = 'connecting' | 'connected' | LinkFault;

/** The courier's line in the journal for each connection, which `tocsin doctor` counts. */
export const connectedLine = 'connected';

/** The state of the courier's connection to the broker. */
export interface Link {
  connected(): void;
  /** No connection could be made, or the current one has ended. */
  failed(fault: LinkFault): void;
  /** Why the broker does not get this sensor's events although there is a connection. */
  refusing(why: EventRefusal | 'none'): void;
  read(): Health['link'];
}

/** `tell` is called with the words for systemd's status line whenever they change (sd_notify(3), STATUS). */
export function openLink(tell: (words: string) => void): Link {
  let state: LinkState = 'connecting';
  let lastFault: LinkFault | 'none' = 'none';
  let connections = 0;
  let refusal: EventRefusal | 'none' = 'none';
  let told = '';
  const change = () => {
    const words = wordsOf(state, refusal);
    if (words !== told) tell(words);
    told = words;
  };
  change();
  return {
    connected() {
      state = 'connected';
      connections++;
      change();
    },
    failed(fault) {
      state = fault;
      lastFault = fault;
      refusal = 'none';
      change();
    },
    refusing(why) {
      refusal = why;
      change();
    },
    read: () => ({ connections, lastFault, eventsRefused: refusal !== 'none', eventRefusal: refusal }),
  };
}

const suffixes = { none: '', refused: ', events refused', no_subscriber: ', nobody subscribes to events', beyond_rate: ', more events than may be' } as const;

function wordsOf(state: LinkState, refusal: EventRefusal | 'none'): string {
  return `broker: ${state}${suffixes[refusal]}`;
}

/** Parses a courier's status line; undefined where it does not speak of the broker. */
export function readLinkWords(words: string): { readonly state: LinkState; readonly refusal: EventRefusal | 'none' } | undefined {
  const states: readonly LinkState[] = ['connecting', 'connected', ...linkFaults];
  for (const state of states) for (const refusal of ['none', ...eventRefusals] as const) if (words === wordsOf(state, refusal)) return { state, refusal };
  return undefined;
}
