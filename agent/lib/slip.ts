/** Whether one letter is wrong, missing or too many, or two that are neighbours have changed places. */
export function isSlipOf(written: string, name: string): boolean {
  if (written === name) return true;
  let at = 0;
  while (written[at] === name[at]) at++;
  const same = (ofWritten: number, ofName: number) => written.slice(at + ofWritten) === name.slice(at + ofName);
  return same(1, 1) || same(1, 0) || same(0, 1) || (written[at] === name[at + 1] && written[at + 1] === name[at] && same(2, 2));
}
