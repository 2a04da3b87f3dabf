const forgetSeconds = 10;
const alike = 0.5; // of the correlation
const cutoffHz = 300;
const lowRateHz = 6000;
const lowHz = 150; // four low-passes in a row: of a tone at 1 kHz 66 dB less
const humHz = 100; // a cable takes the mains up alike in both leads
const settleSeconds = 0.02; // of the low-passes
const hardly = 1e-6; // of the power: lows that tell nothing, for as much is left of a tone in them

/**
 * Two channels as one: their mean, as ALSA itself would make it, but with one turned over where they go against each other. A balanced
 * microphone on a stereo input gives the same sound twice with opposite signs, whose mean is silence that is no fault of any other kind.
 *
 * Two capsules some centimetres apart do so as well, for a tone from the side whose wavelength is about twice as long as the way between them, and turned
 * over they would cancel all that comes from the front. Below 200 Hz sound is alike in both; what a cable turns is turned there too.
 */
export function openDownmix(sampleRate: number) {
  let [product, power] = [0, 0]; // of the two without their offsets and what is slow, summed over the last seconds: what is loud speaks for most
  let [lowProduct, lowPower] = [0, 0]; // of what is slow, without offsets and hum
  let sign = 1;
  // Two one-pole high-passes in a row for each channel, begun at its first sample, for an offset is no sound: wind is each capsule's own, and so
  // slow that a tenth of a second of it is alike, or against, by chance.
  const stays = Math.exp((-2 * Math.PI * cutoffHz) / sampleRate);
  // What is slow, at a lower rate.
  const step = Math.max(1, Math.round(sampleRate / lowRateHz));
  const lowStays = Math.exp((-2 * Math.PI * lowHz * step) / sampleRate);
  const humStays = Math.exp((-2 * Math.PI * humHz * step) / sampleRate);
  let [slowLeft, slowerLeft, slowRight, slowerRight] = [Number.NaN, 0, Number.NaN, 0];
  let [taken, sumLeft, sumRight] = [0, 0, 0]; // of the samples for the next one of the lower rate
  let unsettled = Math.round(lowRateHz * settleSeconds);
  const low = new Float64Array(12); // for each channel four low-passes, then two high-passes
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
