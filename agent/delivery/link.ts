import type { Health } from '../events/health.ts';
import { type LinkFault, linkFaults } from '../lib/faults.ts';

export type LinkState = 'connecting' | 'connected' | LinkFault;

/** How the courier stands with the broker. */
export interface Link {
  connected(): void;
  /** No connection was made, or this one is over. */
  failed(fault: LinkFault): void;
  /** Whether the broker's access control refuses this sensor's events. */
  refusing(events: boolean): void;
  read(): Health['link'];
}

/** `tell` is called with the words for systemd's status line whenever they change (sd_notify(3), STATUS). */
export function openLink(tell: (words: string) => void): Link {
  let state: LinkState = 'connecting';
  let lastFault: LinkFault | 'none' = 'none';
  let connections = 0;
  let eventsRefused = false;
  let told = '';
  const change = () => {
    const words = wordsOf(state, eventsRefused);
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
      eventsRefused = false;
      change();
    },
    refusing(events) {
      eventsRefused = events;
      change();
    },
    read: () => ({ connections, lastFault, eventsRefused }),
  };
}

const suffix = ', events refused';

function wordsOf(state: LinkState, eventsRefused: boolean): string {
  return `broker: ${state}${eventsRefused ? suffix : ''}`;
}

/** What a courier's status line says; nothing where it says nothing of the broker. */
export function readLinkWords(words: string): { readonly state: LinkState; readonly eventsRefused: boolean } | undefined {
  const states: readonly LinkState[] = ['connecting', 'connected', ...linkFaults];
  for (const state of states) for (const eventsRefused of [false, true]) if (words === wordsOf(state, eventsRefused)) return { state, eventsRefused };
  return undefined;
}
