import { expect, test } from 'vitest';
import { languages } from '../../agent/cli/message.ts';
import { type Drawn, difference, layOut, type Row, type Style } from '../../agent/cli/meter/screen.ts';
import { meterRows, troubleRows } from '../../agent/cli/meter/view.ts';
import { openTranslate } from '../../agent/cli/translate.ts';
import { microphoneFaults } from '../../agent/lib/faults.ts';
import type { MeterReading } from '../../agent/meter/reading.ts';
import { seededRandom } from '../support/random.ts';
import { meterReading } from '../support/samples.ts';

const esc = '\x1b';
const textOf = (row: Row) => row.map((segment) => (typeof segment === 'string' ? segment : segment[0])).join('');
const view = (reading: MeterReading, columns: number, language: 'en' | 'fr' = 'en') =>
  meterRows('lamp-post-12 @ old-port', { reading, peakDb: -12, bars: [1, 0.5, 0] }, columns, openTranslate(language)).map(textOf);

/** Implements only what the view uses of a terminal: clear, cursor position and colours (ECMA-48). */
function openTerminal(columns: number, lines: number) {
  let cells: string[][] = Array.from({ length: lines }, () => new Array<string>(columns).fill('?'));
  let [line, column] = [0, 0];
  return {
    write(text: string) {
      for (const [whole, parameters, final] of text.matchAll(new RegExp(`${esc}\\[([\\d;]*)([A-Za-z])|[^${esc}]`, 'gu'))) {
        if (final === 'J') cells = cells.map((row) => row.map(() => ' '));
        else if (final === 'H') [line, column] = (parameters as string).split(';').map((n) => Number(n) - 1) as [number, number];
        else if (final === undefined) (cells[line] as string[])[column++] = whole;
        else expect(final).toBe('m');
      }
    },
    show: () => cells.map((row) => row.join('').trimEnd()),
  };
}

test('the written difference turns the previous screen into the next one, and is small where little changed', () => {
  const random = seededRandom(5);
  const terminal = openTerminal(60, 8);
  const styles: Style[] = ['plain', 'bold', 'red'];
  let rows: Row[] = [];
  let before: Drawn | undefined;
  for (let i = 0; i < 300; i++) {
    rows = Array.from({ length: 8 }, (_, line) =>
      i > 0 && random() < 0.6 ? (rows[line] as Row) : [['#'.repeat(random() * 40), styles[Math.floor(random() * 3)] as Style], 'é|.'.repeat(random() * 12)],
    );
    const after = layOut(rows, 60, 8);
    terminal.write(difference(before, after, true));
    before = after;
    expect(terminal.show()).toEqual(rows.map((row) => textOf(row).slice(0, 60).trimEnd()));
  }
  expect(difference(before, before as Drawn, true)).toBe('');
  const bar = (n: number) => layOut([['x'.repeat(n).padEnd(60)]], 60, 8);
  expect(difference(bar(30), bar(31), true)).toBe('\x1b[1;31Hx');
  expect(difference(bar(30), layOut([], 50, 8), true)).toContain('\x1b[2J');
});

test('without colours only the cursor is set', () => {
  const colourless = difference(
    undefined,
    layOut(meterRows('a @ b', { reading: meterReading(), peakDb: -3, bars: [] }, 60, openTranslate('en')), 60, 24),
    false,
  );
  expect(colourless.replace('\x1b[0m\x1b[2J', '')).not.toMatch(new RegExp(`${esc}\\[[\\d;]*m`));
});

test.each(languages)('every row fits 60 columns and the view fits 24 lines, in %s', (language) => {
  const states = ['idle', 'open', 'confirmed', 'tail', 'cooldown'] as const;
  const track = { score: 0.9999, leftSeconds: 60, open: 0.9991, own: true };
  const outcomes = ['fired', 'refused', 'under', 'short', 'merged', 'cooldown'] as const;
  for (const state of states)
    for (const fault of ['none', ...microphoneFaults] as const)
      for (const hearing of ['starting', 'listening', 'deaf', 'stopped'] as const) {
        const last = outcomes.map((outcome) => ({ label: 0, outcome, peak: 0.9999, secondsAgo: 3600 }));
        const reading = meterReading({
          state: hearing,
          fault,
          suspicion: 'covered',
          levelDb: -120,
          splDb: 120,
          labels: [track, track, track].map((t) => ({ ...t, state })),
          last,
        });
        const rows = view({ ...reading, elapsedSeconds: 9e7 }, 60, language);
        for (const row of rows) expect([...row].length, row).toBeLessThanOrEqual(60);
        expect(rows.length).toBeLessThanOrEqual(24);
      }
});

test('the bar, its threshold and the reason are shown with words and marks, not with colour alone', () => {
  const rows = view(meterReading(), 60);
  expect(rows.join('\n')).toMatchInlineSnapshot(`
    "Tocsin meter  lamp-post-12 @ old-port                q: quit

    microphone: hears, 99.7 % of 60 min
    level          [###########:##########......|....]  -31 dBFS
                   88 dB SPL (LAF); floor -58, peak -12

    breaking glass [#########################|#######] 0.031
                   opens at 0.777: nothing
    shout          [#################.........|......] 0.812
                   opens at 0.800*: an event if 0.04 s more
    bang           [.........................|.......] 0.031
                   opens at 0.777: cool-down, 0.2 s
    *: threshold of this site, not of the model

    last sounds, and how long ago
    1 s     bang            0.931  EVENT
    75 s    breaking glass  0.500  stayed under 0.777
    80 s    shout           0.900  over, but not long enough
    2 min   shout           0.900  joined to the one before
    15 min  shout           0.900  in the cool-down: no event
    60 min  breaking glass  1.000  refused: too many a minute"
  `);
  expect(view(meterReading(), 120)[0]).toHaveLength(120);
});

test('the view shows the error and the hint when the listener is away', () => {
  const rows = troubleRows('a @ b', 'Expected a listener, got none', 'start it', 60, openTranslate('en')).map(textOf);
  expect(rows[2]).toBe('Expected a listener, got none');
  expect(rows[3]).toBe('Try: start it');
});

test('the view names what is wrong with the microphone, and a share of the time that is never above all of it', () => {
  const said = (change: Partial<MeterReading>) => view(meterReading(change), 60)[2];
  expect(said({ state: 'deaf', fault: 'absent' })).toMatch(/^microphone: DEAF: [^{}]+; sudo tocsin doctor$/);
  expect(said({ fault: 'clipped' })).toMatch(/^microphone: hears badly: [^{}]+; sudo tocsin doctor$/);
  expect(said({ state: 'starting' })).toBe('microphone: no sound yet');
  expect(said({ state: 'stopped' })).toBe('microphone: the listener is stopping');
  expect(said({ listenedSeconds: 3610 })).toBe('microphone: hears, 100.0 % of 60 min'); // counted in blocks, of which one may be ahead
});

test('the reason why a sound was no event names the threshold of its own label', () => {
  const last = [{ label: 1, outcome: 'under', peak: 0.75, secondsAgo: 1 }] as const;
  expect(view(meterReading({ last }), 60).at(-1)).toMatch(/^1 s +shout +0\.750 {2}stayed under 0\.800$/);
});
