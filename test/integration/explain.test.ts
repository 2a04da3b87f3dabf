import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadModel } from '../../agent/classify/model-manifest.ts';
import { toCloudEvent } from '../../agent/delivery/to-cloud-event.ts';
import { fixedClock } from '../support/samples.ts';
import { sensor } from '../support/stored-events.ts';

const tocsin = (...args: string[]) => spawnSync(process.execPath, ['agent/main.ts', ...args], { encoding: 'utf8' });

describe('events explain', () => {
  test('explains a pending event by number and by id, in both languages', () => {
    const { path, outbox } = sensor(2);
    const { stdout } = tocsin('events', 'explain', '2', '-c', path);
    expect(stdout).toMatch(/#2 shout, 0.900/);
    const { shout, glass_break: glass } = loadModel('models/street').manifest.operatingPoints.balanced.labels;
    expect(stdout.replace(/\s+/g, ' ')).toContain(`passed ${shout.open.toFixed(4)}; when it was reported, 0.40 s of it had been judged`);
    const closes = `closes under ${shout.close.toFixed(4)}; a repeat within 1 s belongs to the same event; after a minute, closes under ${shout.open.toFixed(4)}, and a repeat is an event of its own`;
    expect(stdout.replace(/\s+/g, ' ')).toContain(closes);
    expect(stdout).toMatch(new RegExp(`breaking glass +[#.|]+ 0.900 over ${glass.open.toFixed(4)}`));
    expect(stdout).toMatch(/shout +[#.|]+ 0.100 fired/);
    expect(tocsin('events', 'explain', `${outbox.id}-2`, '-c', path, '--lang', 'fr').stdout).toMatch(/cri +[#.|]+ 0,100 déclenché/);
    const json = JSON.parse(tocsin('events', 'explain', '2', '-c', path, '--json').stdout);
    expect(json).toMatchObject({ event: { sequence: 2, label: 'shout' }, thresholds: { shout: { open: expect.any(Number), close: expect.any(Number) } } });
    outbox.close();
  });

  test('explains a published event from a file; an unknown number or file is an error', () => {
    const { folder, path, outbox } = sensor(1);
    const [event] = outbox.pending(0, 1);
    const sender = { outboxId: outbox.id, site: 'a', sensor: 'b', historicalAfterSeconds: 60 };
    const file = join(folder, 'event.json');
    const published = toCloudEvent(event as NonNullable<typeof event>, sender, fixedClock());
    const heard = (time: string, clock: 'synchronised' | 'unsynchronised') => {
      writeFileSync(file, JSON.stringify({ ...published, time, data: { ...published.data, clock } }));
      const { stdout } = tocsin('events', 'explain', file, '-c', path);
      expect(stdout).toMatch(/#1 breaking glass/);
      return /heard +(.*)/.exec(stdout)?.[1];
    };
    expect(heard('2026-01-01T00:00:00.000Z', 'synchronised')).toMatch(/^2026-01-01 00:00:00 UTC, clock right; \d+ days ago$/);
    expect(heard('1970-01-01T00:05:00.000Z', 'unsynchronised')).toBe('1970-01-01 00:05:00 UTC, clock not set then');
    expect(heard('2999-01-01T00:00:00.000Z', 'synchronised')).toBe('2999-01-01 00:00:00 UTC, clock right');
    const close = { ...published, data: { ...published.data, scores: { ...published.data.scores, bang: 0.776 } } };
    writeFileSync(file, JSON.stringify(close));
    expect(tocsin('events', 'explain', file, '-c', path).stdout, 'not 0.78 under 0.78').toMatch(/bang +[#.|]+ 0\.776 under 0\.7773$/m);
    writeFileSync(file, `\uFEFF${readFileSync(file, 'utf8')}`); // as some editors of Windows save it
    expect(tocsin('events', 'explain', file, '-c', path)).toMatchObject({ status: 0, stderr: '' });
    writeFileSync(file, '{"specversion":"1.0"}');
    expect(tocsin('events', 'explain', file, '-c', path)).toMatchObject({ status: 6, stderr: expect.stringContaining('id: expected text, got nothing') });
    for (const [id, said] of Object.entries({ 7: '7 is not waiting in the outbox', nonsense: 'in nonsense, got: ENOENT' }))
      expect(tocsin('events', 'explain', id, '-c', path)).toMatchObject({ status: 6, stderr: expect.stringContaining(said) });
    outbox.close();
  });
});
