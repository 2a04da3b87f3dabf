const forgetSeconds = 10;
const alike = 0.5; // correlation above which the channels count as alike, and below minus which as opposed
const cutoffHz = 300;
const lowRateHz = 6000;
const lowHz = 150; // corner of four low-passes in series: they attenuate a tone at 1 kHz by 66 dB
const humHz = 100; // corner of the hum filter: a cable picks up mains hum alike in both leads
const settleSeconds = 0.02; // settling time of the low-passes
// Share of the power. A low band with less tells nothing: the low-passes leave as much of a tone.
const hardly = 1e-6;

/**
 * Mixes two channels to their mean, as ALSA itself would, but inverts one of them while they are in antiphase. A
 * balanced microphone on a stereo input gives the same sound twice with opposite signs: the mean is silence, which
 * shows as no other kind of fault.
 *
 * Two capsules some centimetres apart are also in antiphase for a tone from the side whose wavelength is about twice
 * their distance. Inverting one of them would then cancel everything from the front. Therefore the low band must agree:
 * below 200 Hz sound is alike in both capsules, while a balanced cable inverts that band too.
 */
export function openDownmix(sampleRate: number) {
  // Cross product and mean power of the channels above the high-pass, without offsets, over the last seconds: loud
  // sound weighs most.
  let [product, power] = [0, 0];
  let [lowProduct, lowPower] = [0, 0]; // the same of the low band, without offsets and hum
  let sign = 1;
  // Two one-pole high-passes in series for each channel. They start at its first sample, because an offset is not
  // sound. They remove wind: each capsule has its own, so slow that 0.1 s of it is in phase or in antiphase by chance.
  const stays = Math.exp((-2 * Math.PI * cutoffHz) / sampleRate);
  // The low band, at a lower sample rate.
  const step = Math.max(1, Math.round(sampleRate / lowRateHz));
  const lowStays = Math.exp((-2 * Math.PI * lowHz * step) / sampleRate);
  const humStays = Math.exp((-2 * Math.PI * humHz * step) / sampleRate);
  let [slowLeft, slowerLeft, slowRight, slowerRight] = [Number.NaN, 0, Number.NaN, 0];
  let [taken, sumLeft, sumRight] = [0, 0, 0]; // count and sums of the samples for the next low-rate sample
  let unsettled = Math.round(lowRateHz * settleSeconds);
  const low = new Float64Array(12); // filter states, per channel: four low-passes, then two high-passes
  return {
    /** Whether the channels are in antiphase. */
    get antiphase(): boolean {
      return sign < 0;
    },
    /**
     * Writes the mixed sound to `samples`. Returns how many samples are at full scale in one channel or both, which the
     * mean does not show.
     *
     * @param pcm 16-bit little-endian, left and right interleaved, one pair for each of `samples`
     */
    mix(pcm: Buffer, samples: Float32Array): number {
      const count = samples.length;
      if (count === 0) return 0;
      const channels = new Int16Array(pcm.buffer, pcm.byteOffset, 2 * count);
      let [left, right, both, squares, lowBoth, lowSquares, atFullScale] = [0, 0, 0, 0, 0, 0, 0];
      // local variables in the loop that runs for every sample
      let [slowL, slowerL, slowR, slowerR] = [slowLeft, slowerLeft, slowRight, slowerRight];
      if (Number.isNaN(slowL)) {
        [slowL, slowR] = [channels[0] as number, channels[1] as number];
        low.fill(slowL, 0, 5).fill(slowR, 6, 11);
      }
      let [sumL, sumR] = [sumLeft, sumRight];
      let [l1 = 0, l2 = 0, l3 = 0, l4 = 0, humL = 0, hummerL = 0, r1 = 0, r2 = 0, r3 = 0, r4 = 0, humR = 0, hummerR = 0] = low;
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
        sumL += slowL;
        sumR += slowR;
        if (++taken < step) continue;
        l1 = sumL / step + lowStays * (l1 - sumL / step);
        l2 = l1 + lowStays * (l2 - l1);
        l3 = l2 + lowStays * (l3 - l2);
        l4 = l3 + lowStays * (l4 - l3);
        r1 = sumR / step + lowStays * (r1 - sumR / step);
        r2 = r1 + lowStays * (r2 - r1);
        r3 = r2 + lowStays * (r3 - r2);
        r4 = r3 + lowStays * (r4 - r3);
        humL = l4 + humStays * (humL - l4);
        humR = r4 + humStays * (humR - r4);
        hummerL = l4 - humL + humStays * (hummerL - l4 + humL);
        hummerR = r4 - humR + humStays * (hummerR - r4 + humR);
        [taken, sumL, sumR] = [0, 0, 0];
        const lowL = l4 - humL - hummerL;
        const lowR = r4 - humR - hummerR;
        if (unsettled-- > 0) continue;
        lowBoth += lowL * lowR;
        lowSquares += lowL * lowL + lowR * lowR;
      }
      [slowLeft, slowerLeft, slowRight, slowerRight] = [slowL, slowerL, slowR, slowerR];
      [sumLeft, sumRight] = [sumL, sumR];
      low.set([l1, l2, l3, l4, humL, hummerL, r1, r2, r3, r4, humR, hummerR]);
      const kept = Math.exp(-count / (sampleRate * forgetSeconds));
      product = product * kept + both - (left * right) / count;
      power = power * kept + (squares - (left * left + right * right) / count) / 2;
      lowProduct = lowProduct * kept + lowBoth;
      lowPower = lowPower * kept + lowSquares / 2;
      const lowSpeaks = lowPower > hardly * power;
      if (product > alike * power || (lowSpeaks && lowProduct > alike * lowPower)) sign = 1;
      else if (product < -alike * power && lowSpeaks && lowProduct < -alike * lowPower) sign = -1;
      for (let i = 0; i < count; i++) samples[i] = ((channels[2 * i] as number) + sign * (channels[2 * i + 1] as number)) / 65536;
      return atFullScale;
    },
  };
}
