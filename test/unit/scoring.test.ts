import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Label, loadModel } from '../../agent/classify/model-manifest.ts';
import { openScorer } from '../../agent/cli/evaluate.ts';
import { colours, evaluationPage } from '../../agent/cli/evaluation-page.ts';
import { type Found, type Scene, scoreEvents } from '../../agent/cli/scoring.ts';
import { missing } from '../support/broker.ts';

const scenes: Scene[] = [
  {
    file: 'a',
    seconds: 1800,
    events: [
      { onset: 10, offset: 15, label: 'shout', snr: 20 },
      { onset: 30, offset: 31, label: 'bang', snr: 0 },
      { onset: 50, offset: 52, kind: 'door' },
    ],
  },
  { file: 'b', seconds: 1800, events: [{ onset: 5, offset: 6, kind: '<dishes>' }] },
];
const settings = { operatingPoint: 'balanced' as const, open: {} };
const evaluated = { model: 'a 1.0.0', operatingPoint: 'balanced', thresholds: { glass_break: 0.9991, shout: 0.7, bang: 0.85 }, scenes: 2 };
const at = (file: string, label: Found['label'], onsetSeconds: number, confidence = 0.9): Found => ({
  file,
  label,
  onsetSeconds,
  confidence,
  toldSeconds: onsetSeconds + 0.3,
});

test('scoreEvents counts hits, repeats and false alarms with their causes', () => {
  const score = scoreEvents(scenes, [at('a', 'shout', 9.1), at('a', 'shout', 14), at('a', 'bang', 51.5), at('b', 'glass_break', 5.5), at('b', 'bang', 100)]);
  expect(score.perLabel.shout).toMatchObject({ reference: 1, hit: 1, repeat: 1, falseAlarm: 0, f1: 1 });
  expect(score.perLabel.bang).toMatchObject({ reference: 1, hit: 0, falseAlarm: 2, f1: 0 });
  expect(score.falseAlarmCauses).toEqual({ door: 1, '<dishes>': 1, background: 1 });
  expect(score).toMatchObject({ macroF1: 1 / 3, falseAlarmsPerHour: 3, falseAlarmsPerHourQuiet: 4, recallBySnr: { 0: 0, 20: 1 } });
});

test('other thresholds are scored with the close threshold of the model, as the agent would use them', () => {
  const { manifest } = structuredClone(loadModel('models/street'));
  Object.assign(manifest.operatingPoints.balanced.labels.bang, { open: 0.9, close: 0.3, mergeSeconds: 0.2 });
  // a bang that drops to 0.4 for a second and returns: one sound if it closes at 0.3, two if it closed at 0.6 of the
  // threshold
  const heard = [0.1, 0.95, 0.4, 0.95, 0.1].flatMap((score, i) =>
    Array.from({ length: 25 }, (_, k) => ({ scores: [0, 0, score], endSeconds: i + (k + 1) / 25, scoredSeconds: i + 1 })),
  );
  const scene: Scene = { file: 'c', seconds: 60, events: [{ onset: 30, offset: 31, label: 'bang', snr: 20 }] };
  const scoreAt = openScorer([scene], new Map([['c', heard]]), { manifest, settings, frameSeconds: 0.04 });
  const bangs = (open?: number) => scoreAt(open === undefined ? {} : { bang: open }).perLabel.bang.falseAlarm;
  expect([bangs(), bangs(0.9), bangs(0.7), bangs(0.2)]).toEqual([1, 1, 1, 1]);
  Object.assign(manifest.operatingPoints.balanced.labels.bang, { close: 0.5 });
  expect([bangs(), bangs(0.9), bangs(0.45)]).toEqual([2, 2, 2]);
  const own = openScorer([scene], new Map([['c', heard]]), { manifest, settings: { ...settings, open: { bang: 1 } }, frameSeconds: 0.04 });
  expect([own({}), own({ shout: 0.5 }), own({ bang: 0.9 })].map(({ perLabel }) => perLabel.bang.falseAlarm)).toEqual([0, 0, 2]);
});

test('onset and confidence count in whole thousandths, as `replay --json` prints them', () => {
  const { manifest } = loadModel('models/street');
  const heard = Array.from({ length: 60 }, (_, i) => ({ scores: [0, 0, { 23: 0.9, 42: 0.9002 }[i] ?? 0], endSeconds: i / 10, scoredSeconds: i / 10 }));
  const scene: Scene = { file: 'c', seconds: 60, events: [{ onset: 3.2, offset: 3.3, label: 'bang' }] }; // 2.3 - 0.1 is less than 2.2
  const score = openScorer([scene], new Map([['c', heard]]), { manifest, settings, frameSeconds: 0.1 })({});
  expect(score).toMatchObject({ perLabel: { bang: { hit: 1, repeat: 1, falseAlarm: 0 } }, latencySeconds: { median: expect.closeTo(2.3 - 3.2) } });
});

test('latency is measured up to the end of the hop whose scores confirmed the sound', () => {
  const { manifest } = loadModel('models/street');
  const hop = (end: number, score: number) => [0.04, 0].map((before) => ({ scores: [0, 0, score], endSeconds: end - 0.24 - before, scoredSeconds: end }));
  const heard = [...hop(1.08, 0), ...hop(1.16, 1), ...hop(1.24, 1), ...hop(3, 0)];
  const scene: Scene = { file: 'c', seconds: 60, events: [{ onset: 0.9, offset: 1, label: 'bang' }] };
  const { latencySeconds } = openScorer([scene], new Map([['c', heard]]), { manifest, settings, frameSeconds: 0.04 })({});
  expect(latencySeconds?.median).toBeCloseTo(1.16 - 0.9);
});

test('latency is measured from the reference onset, and only for recognised sounds', () => {
  const late = at('a', 'shout', 10.9);
  const falseAlarm = at('b', 'bang', 100);
  const { latencySeconds } = scoreEvents(scenes, [late, falseAlarm]);
  expect(latencySeconds?.median).toBeCloseTo(1.2);
  expect(latencySeconds?.p95).toBeCloseTo(1.2);
});

test('the 95th percentile ignores one late sound in twenty, but not one in nineteen', () => {
  const latenciesOf = (count: number) => {
    const events = Array.from({ length: count }, (_, i) => ({ onset: 10 * i, offset: 10 * i + 1, label: 'bang' as const }));
    const late = (i: number) => ({ ...at('a', 'bang', 10 * i), toldSeconds: 10 * i + (i === 0 ? 3 : 0.3) });
    const { latencySeconds } = scoreEvents(
      [{ file: 'a', seconds: 1000, events }],
      events.map((_, i) => late(i)),
    );
    return [latencySeconds?.median, latencySeconds?.p95].map((seconds) => Number(seconds?.toFixed(3)));
  };
  expect(latenciesOf(20)).toEqual([0.3, 0.3]);
  expect(latenciesOf(19)).toEqual([0.3, 3]);
  expect(latenciesOf(1)).toEqual([3, 3]);
});

test('the report omits the rate in quiet hours and the latency if the scenes do not give them', () => {
  const busy = scoreEvents(scenes.slice(0, 1), [at('a', 'glass_break', 1000)]);
  expect(busy).toMatchObject({ falseAlarmsPerHour: 2, quietHours: 0 });
  expect(busy).not.toHaveProperty('falseAlarmsPerHourQuiet');
  expect(busy).not.toHaveProperty('latencySeconds');
  const page = evaluationPage({ ...evaluated, scenes: 1 }, busy, [
    { label: 'bang', points: [{ threshold: 0.5, recall: 0.5, precision: 0.5, f1: 0.5, falseAlarmsPerHour: 2 }] },
  ]);
  expect(page).toContain('2.0 false alarms an hour over 0.50 h; no scene is without a sound to be reported.');
  for (const said of ['thresholds “balanced”, scenes: 1.', 'scènes\u00a0: 1.']) expect(page).toContain(said);
  expect(page).not.toMatch(/0\.0 an hour|reported 0 ms/);
  expect(scoreEvents(scenes, []).falseAlarmsPerHourQuiet, 'quiet hours without a false alarm').toBe(0);
});

test('an event outside the collar and the reference sound is a false alarm', () => {
  expect(scoreEvents(scenes, [at('a', 'shout', 8.9)]).perLabel.shout).toMatchObject({ hit: 0, falseAlarm: 1 });
  expect(scoreEvents(scenes, [at('a', 'bang', 31.9)]).perLabel.bang).toMatchObject({ hit: 0, falseAlarm: 1 });
});

test('the limits of the collar and of the reference sound are inclusive', () => {
  const shouts = (...onsets: number[]) => onsets.map((onset) => scoreEvents(scenes, [at('a', 'shout', onset)]).perLabel.shout.hit);
  expect(shouts(8.99, 9, 11, 15, 15.01)).toEqual([0, 1, 1, 1, 0]);
});

const bangs: Scene = {
  file: 'c',
  seconds: 60,
  events: [10, 11].map((onset, i) => ({ onset, offset: onset + 0.2, label: 'bang' as const, snr: i * 20 })),
};

test('an event matches the nearest of overlapping references, and the most confident event chooses first', () => {
  const recall = (...found: Found[]) => scoreEvents([bangs], found).recallBySnr;
  expect(recall(at('c', 'bang', 10.4))).toEqual({ 0: 1, 20: 0 });
  expect(recall(at('c', 'bang', 10.8))).toEqual({ 0: 0, 20: 1 });
  const reversed = { ...bangs, events: bangs.events.toReversed() };
  expect(scoreEvents([reversed], [at('c', 'bang', 10.4)]).recallBySnr).toEqual({ 0: 1, 20: 0 });
  const late = { ...at('c', 'bang', 10.1, 0.6), toldSeconds: 15 };
  for (const found of [
    [late, at('c', 'bang', 9.5, 0.9)],
    [at('c', 'bang', 9.5, 0.9), late],
  ])
    expect(scoreEvents([{ ...bangs, events: bangs.events.slice(0, 1) }], found).latencySeconds?.median).toBeCloseTo(-0.2);
});

test('a false alarm is attributed to a sound that began up to 1 s later or ended up to 0.5 s earlier', () => {
  const cause = (onset: number) => Object.keys(scoreEvents(scenes, [at('a', 'glass_break', onset)]).falseAlarmCauses)[0];
  expect([48.9, 49, 52.5, 52.6].map(cause)).toEqual(['background', 'door', 'door', 'background']);
});

test('recall, precision and F1 of one label are computed', () => {
  const found = [at('c', 'bang', 10), at('c', 'bang', 20), at('c', 'bang', 30), at('c', 'bang', 40)];
  const { recall, precision, f1 } = scoreEvents([bangs], found).perLabel.bang;
  expect([recall, precision, f1]).toEqual([0.5, 0.25, expect.closeTo(1 / 3)]);
});

test('the median of an even count is the upper of the two middle values', () => {
  const events = [0, 10, 20, 30].map((onset) => ({ onset, offset: onset + 1, label: 'bang' as const }));
  const found = events.map(({ onset }, i) => ({ ...at('c', 'bang', onset), toldSeconds: onset + i }));
  expect(scoreEvents([{ file: 'c', seconds: 60, events }], found).latencySeconds?.median).toBe(2);
});

test('recall by level counts only sounds with a known level', () => {
  const [scene] = scenes as [Scene];
  const unknown = { ...scene, events: [...scene.events, { onset: 80, offset: 81, label: 'bang' as const }] };
  const { recallBySnr, perLabel } = scoreEvents([unknown], [at('a', 'bang', 80)]);
  expect(recallBySnr).toEqual({ 0: 0, 20: 0 });
  expect(perLabel.bang).toMatchObject({ reference: 2, hit: 1 });
  const events = [{ onset: 1, offset: 2, label: 'bang' as const }];
  expect(scoreEvents([{ file: 'c', seconds: 60, events }], []).recallBySnr).toEqual({});
});

test('the report lists recall in ascending order of level', () => {
  const events = [12, -0.4, -12, -5].map((snr, i) => ({ onset: 10 * i, offset: 10 * i + 1, label: 'bang' as const, snr }));
  const score = scoreEvents([{ file: 'c', seconds: 60, events }], [at('c', 'bang', 20)]);
  expect(Object.entries(score.recallBySnr)).toEqual([
    ['0', 0],
    ['12', 0],
    ['-12', 1],
    ['-5', 0],
  ]);
  const page = evaluationPage({ ...evaluated, scenes: 1 }, score, []);
  expect(page).toMatch(/-12 dB: 1\.00.*-5 dB: 0\.00.*, 0 dB: 0\.00.* 12 dB: 0\.00/);
});

test('the report does not round the hours of a short scene to 0.00 h', () => {
  const short = scoreEvents([{ file: 'c', seconds: 8, events: [] }], [at('c', 'bang', 1)]);
  const page = evaluationPage({ ...evaluated, scenes: 1 }, short, []);
  expect(page).toContain('450.0 false alarms an hour over 0.0022 h; 450.0 an hour in the 0.0022 h of scenes');
});

test('the file of an event is read once, however many scenes there are: each threshold of the curves is a score of its own', () => {
  let reads = 0;
  const event = {
    ...at('c', 'bang', 1),
    get file() {
      reads++;
      return 'c';
    },
  };
  const many = ['a', 'b', 'c', 'd'].map((file) => ({ file, seconds: 60, events: [] }));
  expect(scoreEvents(many, [event]).perLabel.bang.falseAlarm).toBe(1);
  expect(reads).toBe(1);
});

test('a false alarm cause is counted even if it is named `constructor`', () => {
  const scene = { file: 'c', seconds: 60, events: [{ onset: 1, offset: 2, kind: 'constructor' }] };
  expect(scoreEvents([scene], [at('c', 'bang', 1)]).falseAlarmCauses).toEqual({ constructor: 1 });
});

test('the evaluation page is self-contained, in both languages, and escapes what it shows', () => {
  const page = evaluationPage({ ...evaluated, model: 'a & b 1.0.0' }, scoreEvents(scenes, [at('a', 'shout', 9.5), at('b', 'glass_break', 5.5)]), [
    { label: 'bang', points: [{ threshold: 0.5, recall: 0.5, precision: 0.5, f1: 0.5, falseAlarmsPerHour: 2 }] },
  ]);
  expect(page).toContain('a &#38; b 1.0.0');
  expect(page).toContain('&#60;dishes&#62; 1');
  expect(page).not.toMatch(/src=|href="[^#]|<script/);
  expect(page, 'browsers that darken pages leave the black on white of the plots alone').toContain(':root{color-scheme:only light}');
  const [french = '', english = ''] = page.split('<section').slice(1);
  for (const said of [
    'lang="fr"',
    'F1 macro 0,333',
    '<th>bris de verre</th><td>0,9991</td>', // 1,00 would be one that no sound reaches
    '0\u00a0dB\u00a0: 0,00\u00a0; 20\u00a0dB\u00a0: 1,00',
    '>0,25</text>',
    '>détonation</text>',
  ])
    expect(french).toContain(said);
  for (const said of ['lang="en"', 'Macro F1 0.333', '<th>breaking glass</th>', '0 dB: 0.00, 20 dB: 1.00', '>0.25</text>', '>bang</text>'])
    expect(english).toContain(said);
  expect(english).toContain('These scenes contain none of: breaking glass.');
  expect(french).toContain('rien de\u00a0: bris de verre.');
  expect(french.match(/<svg/g)).toHaveLength(2);
  for (const [section, named] of [
    [french, 'seuil 0,50'],
    [english, 'threshold 0.50'],
  ] as const)
    expect(section.match(/<title>(.*?)<\/title>/g), 'what each dot says of itself').toEqual(Array(2).fill(`<title>${named}</title>`));
});

const swept = (label: Label, rates: readonly number[], best: number) => ({
  label,
  points: rates.map((falseAlarmsPerHour, i) => ({ threshold: i / 20, recall: 0.5, precision: 0.5, f1: i === best ? 0.7 : 0.1, falseAlarmsPerHour })),
});
const curves = [swept('bang', [380, 90, 41, 25, 3], 3), swept('shout', [300, 10, 0], 1)];

test('the false alarm axis ends at twice the rate of the best or current thresholds, and the page says what is left out', () => {
  const [, english = ''] = evaluationPage(evaluated, scoreEvents(scenes, []), curves).split('<section').slice(1);
  const dots = english.slice(english.lastIndexOf('<svg')).match(/<title>/g);
  expect([english.includes('>60</text>'), english.includes('with more than 60 false alarms an hour'), dots?.length]).toEqual([true, true, 5]);
  const many = Array.from({ length: 45 }, (_, i) => at('b', 'bang', 100 + i));
  expect(evaluationPage(evaluated, scoreEvents(scenes, many), curves)).toContain('>100</text>');
  const few = evaluationPage(evaluated, scoreEvents(scenes, []), [swept('bang', [8, 2], 1)]);
  expect([few.includes('>20</text>'), few.includes('left out')]).toEqual([true, false]);
});

test('a label that the scenes do not hold does not stretch the false alarm axis to the rate of its lowest threshold', () => {
  const absent = { ...swept('glass_break', [900, 60, 0], 0), points: swept('glass_break', [900, 60, 0], 0).points.map((point) => ({ ...point, f1: 0 })) };
  expect(evaluationPage(evaluated, scoreEvents(scenes, []), [absent, swept('bang', [8, 2], 1)])).toContain('>20</text>');
});

/** Relative luminance of a colour as #rrggbb (WCAG 2.1). */
const luminanceOf = (colour: string) => {
  const [red, green, blue] = [1, 3, 5]
    .map((i) => Number.parseInt(colour.slice(i, i + 2), 16) / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * (red as number) + 0.7152 * (green as number) + 0.0722 * (blue as number);
};
test.each(Object.entries(colours))('the name of %s beside a plot has enough contrast on white: %s', (_label, colour) => {
  expect(1.05 / (luminanceOf(colour) + 0.05)).toBeGreaterThanOrEqual(4.5);
});

test('the values of the plots stand in a table, for those who point at nothing', () => {
  const bang = swept('bang', [380.25, 9], 0);
  const uneven = { ...bang, points: bang.points.map((point) => ({ ...point, precision: 0.6 })) };
  const [french = '', english = ''] = evaluationPage(evaluated, scoreEvents(scenes, []), [uneven]).split('<details>').slice(1);
  const cells = (rows: string) => rows.match(/(?<=<t[dh](?: [^>]*)?>)[^<]*/g);
  const [head = '', body = ''] = english.split('<tbody>');
  expect(cells(head)).toEqual(['', 'bang', 'threshold', 'recall', 'precision', 'F1', 'false/h']);
  expect(cells(body)).toEqual(['0.00', '0.50', '0.60', '0.70', '380.3', '0.05', '0.50', '0.60', '0.10', '9.0']);
  expect(french).toContain('<td>0,70</td><td>380,3</td>');
});

const printer = missing('weasyprint', 'pdfinfo', 'pdftotext');
test.skipIf(printer)(`each language of the evaluation page prints on one page${printer ? ` (left out: ${printer})` : ''}`, () => {
  const pdf = join(mkdtempSync(join(tmpdir(), 'tocsin-evaluation-')), 'evaluation.pdf');
  spawnSync('weasyprint', ['-q', '-', pdf], { input: evaluationPage(evaluated, scoreEvents(scenes, []), curves) });
  const { stdout } = spawnSync('pdfinfo', [pdf], { encoding: 'utf8' });
  expect(stdout).toMatch(/Pages: +2\n/);
});

test.skipIf(printer)(`the long name of a confuser is broken at the edge of the page${printer ? ` (left out: ${printer})` : ''}`, () => {
  const pdf = join(mkdtempSync(join(tmpdir(), 'tocsin-evaluation-')), 'evaluation.pdf');
  const scene = { file: 'c', seconds: 60, events: [{ onset: 1, offset: 2, kind: 'x'.repeat(300) }] };
  spawnSync('weasyprint', ['-q', '-', pdf], { input: evaluationPage(evaluated, scoreEvents([scene], [at('c', 'bang', 1)]), curves) });
  const { stdout } = spawnSync('pdftotext', ['-layout', pdf, '-'], { encoding: 'utf8' });
  const pieces = stdout.match(/x{20,}/g)?.map(({ length }) => length) ?? [];
  expect(
    pieces.reduce((sum, length) => sum + length, 0),
    'letters within both pages',
  ).toBe(600);
});
