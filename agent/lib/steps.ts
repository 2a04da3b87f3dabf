/**
 * A check of numbers for a schema: no finer than steps of 1 / `perUnit`. JSON Schema's multipleOf would refuse some of
 * them, because validators divide in floating point.
 */
export function inSteps(perUnit: number): (value: number) => boolean {
  return (value) => Math.round(value * perUnit) / perUnit === value;
}
