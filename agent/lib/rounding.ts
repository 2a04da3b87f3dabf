/** Rounded to a tenth. */
export function tenth(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Rounded to a thousandth. */
export function thousandth(value: number): number {
  return Math.round(value * 1000) / 1000;
}
