/** Rounded to a thousandth. */
export function thousandth(value: number): number {
  return Math.round(value * 1000) / 1000;
}
