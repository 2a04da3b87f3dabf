import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Complete, untried, verdictOf } from '../../agent/cli/commission/report.ts';
import { openSigner } from '../../agent/cli/commission/seal.ts';
import { configSchema } from '../../agent/config/schema.ts';

const ok = { state: 'pass' } as unknown as Complete['privacy'][number];
const heard: Complete['selftest'] = { ok: true, sound: 'person', latencyMs: { heard: 400, stored: 2, accepted: 5, returned: 3 } };
const stages = (selftest: Partial<Complete['selftest']>, state: 'pass' | 'unchecked' | 'fail' = 'pass'): Complete => ({
  doctor: [],
  selftest: { ...heard, ...selftest },
  privacy: [ok, { ...ok, state }],
});
const { returned: _, ...oneWay } = heard.latencyMs;

test.each<[string, Complete, string, string[]]>([
  ['everything', stages({}), 'accepted', []],
  ['a loudspeaker', stages({ sound: 'speaker' }), 'accepted', []],
  ['a file', stages({ sound: 'file' }), 'incomplete', ['selftest']],
  ['no way back from the broker', stages({ latencyMs: oneWay }), 'incomplete', ['selftest']],
  ['a check that was not made', stages({ sound: 'file' }, 'unchecked'), 'incomplete', ['selftest', 'privacy']],
  ['a check that failed', stages({}, 'fail'), 'refused', []],
  ['a chain that broke', stages({ ok: false }), 'refused', []],
])('the verdict, with %s', (_name, found, verdict, open) => {
  expect(verdictOf(found)).toBe(verdict);
  expect(untried(found)).toEqual(open);
});

test('a sensor whose request waits is not sent to make another: what is missing is the certificate', () => {
  const keyFile = join(mkdtempSync(join(tmpdir(), 'tocsin-signer-')), 'sensor.key');
  const { mqtt } = configSchema.parse({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://127.0.0.1:1', certFile: 'sensor.pem', keyFile } });
  const hint = (tryHint: string) => expect.objectContaining({ tryHint });
  expect(() => openSigner(mqtt)).toThrow(hint('sudo tocsin provision makes one'));
  writeFileSync(`${keyFile}.new`, 'a key');
  expect(() => openSigner(mqtt)).toThrow(hint('its request waits for a certificate: sudo tocsin provision --install CERTIFICATE --ca CA'));
});
