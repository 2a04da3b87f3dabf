const forgetSeconds = 10;
const alike = 0.5; // of the correlation: two capsules beside each other come nowhere near -0.5 for long
const cutoffHz = 300;

/**
 * Two channels as one: their mean, as ALSA itself would make it, but with one turned over where they go against each other. A balanced
 * microphone on a stereo input gives the same sound twice with opposite signs, whose mean is silence that is no fault of any other kind.
 */
export function openDownmix(sampleRate: number) {
  let [product, power] = [0, 0]; // of the two without their offsets and what is slow, summed over the last seconds: what is loud speaks for most
  let sign = 1;
  // Two one-pole high-passes in a row for each channel, begun at its first sample, for an offset is no sound: wind is each capsule's own, and so
  // slow that a tenth of a second of it is alike, or against, by chance.
  const stays = Math.exp((-2 * Math.PI * cutoffHz) / sampleRate);
  let [slowLeft, slowerLeft, slowRight, slowerRight] = [Number.NaN, 0, Number.NaN, 0];
  return {
    /** Whether the channels go against each other. */
    get antiphase(): boolean {
      return sign < 0;
    },
    /**
     * Returns how many samples are at full scale in one channel or both: in the mean they are not.
     *
     * @param pcm 16-bit little-endian, left and right by turns, two for each of `samples`
     */
    mix(pcm: Buffer, samples: Float32Array): number {
      const count = samples.length;
      if (count === 0) return 0;
      const channels = new Int16Array(pcm.buffer, pcm.byteOffset, 2 * count);
      let [left, right, both, squares, atFullScale] = [0, 0, 0, 0, 0];
      // local variables in the loop that runs for every sample
      let [slowL, slowerL, slowR, slowerR] = [slowLeft, slowerLeft, slowRight, slowerRight];
      if (Number.isNaN(slowL)) [slowL, slowR] = [channels[0] as number, channels[1] as number];
      for (let i = 0; i < count; i++) {
        const l = channels[2 * i] as number;
        const r = channels[2 * i + 1] as number;
        if (l === 32767 || l === -32768 || r === 32767 || r === -32768) atFullScale++;
        slowL = l + stays * (slowL - l);
        slowR = r + stays * (slowR - r);
        slowerL = l - slowL + stays * (slowerL - l + slowL);
        slowerR = r - slowR + stays * (slowerR - r + slowR);
        const fastL = l - slowL - slowerL;
        const fastR = r - slowR - slowerR;
        left += fastL;
        right += fastR;
        both += fastL * fastR;
        squares += fastL * fastL + fastR * fastR;
      }
      [slowLeft, slowerLeft, slowRight, slowerRight] = [slowL, slowerL, slowR, slowerR];
      const kept = Math.exp(-count / (sampleRate * forgetSeconds));
      product = product * kept + both - (left * right) / count;
      power = power * kept + (squares - (left * left + right * right) / count) / 2;
      if (Math.abs(product) > alike * power) sign = Math.sign(product);
      for (let i = 0; i < count; i++) samples[i] = ((channels[2 * i] as number) + sign * (channels[2 * i + 1] as number)) / 65536;
      return atFullScale;
    },
  };
}
