import { rmSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { missing } from '../support/broker.ts';
import { type Operator, openOperator } from '../support/operator.ts';
import { openSensor } from '../support/provision.ts';

const without = missing('openssl');
describe.skipIf(without)(`what provision says of a key that it cannot use, or make${without ? ` (left out: ${without})` : ''}`, () => {
  let operator: Operator;
  beforeAll(() => {
    operator = openOperator('City Authority');
  });

  test('where the folder is missing it names the one that the configuration means', async () => {
    const sensor = openSensor(operator);
    rmSync(sensor.credentials, { recursive: true });
    const { status, stderr } = await sensor.provision();
    expect(stderr).toContain(`Try: make the folder: sudo mkdir -m 700 -p ${sensor.credentials}\n`);
    expect(status).toBe(10);
  });
});
