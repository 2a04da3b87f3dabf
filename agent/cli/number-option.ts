import { InvalidArgumentError } from 'commander';

/** For an option that takes a whole number within bounds: anything else is refused, not guessed at. */
export function wholeNumber(from: number, to: number): (value: string) => number {
  return (value) => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= from && number <= to)) throw new InvalidArgumentError(`expected a whole number from ${from} to ${to}`);
    return number;
  };
}
