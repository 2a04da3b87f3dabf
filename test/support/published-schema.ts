import { readFileSync } from 'node:fs';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import type { PublishedKind } from '../../agent/events/published.ts';

const ajv = new Ajv2020({ strict: false });
formats.default(ajv);

/** Checks messages of a kind against the schema document in docs/, as a platform does. */
export function validatorOf(kind: PublishedKind): ValidateFunction {
  return ajv.compile(JSON.parse(readFileSync(`docs/${kind}.schema.json`, 'utf8')));
}
