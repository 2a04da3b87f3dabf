/** The bin of the level exceeded `share` of the time, from counts of steps by level, of which there are some. */
export function exceededBin(histogram: Int32Array, share: number): number {
  let left = (1 - share) * histogram.reduce((a, b) => a + b, 0);
  return histogram.findIndex((count) => {
    left -= count;
    return left < 0;
  });
}
