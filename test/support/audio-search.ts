// Finds pieces of a known sound in bytes, in any common encoding.

const run = 8; // samples that must match in a row: 2^-128 by chance at 16 bits

type Form = readonly [name: string, bytes: (samples: Float32Array) => Buffer, bytesPerSample: number];

const int16 = (x: number) => Math.max(-32768, Math.min(32767, Math.round(x * 32768)));

function muLaw(x: number): number {
  const magnitude = Math.min(32635, Math.abs(int16(x))) + 132;
  const exponent = Math.floor(Math.log2(magnitude)) - 7;
  return ~((x < 0 ? 0x80 : 0) | (exponent << 4) | ((magnitude >> (exponent + 3)) & 15)) & 255;
}

/** Common encodings of sound: ITU-T G.711 mu-law, 8-bit and 16-bit integers, floats. */
const forms: Form[] = [
  ['int16 little-endian', (s) => Buffer.from(Int16Array.from(s, int16).buffer), 2],
  ['int16 big-endian', (s) => Buffer.from(Int16Array.from(s, int16).buffer).swap16(), 2],
  ['float32', (s) => Buffer.from(s.buffer, s.byteOffset, s.byteLength), 4],
  ['float64', (s) => Buffer.from(Float64Array.from(s).buffer), 8],
  ['int8', (s) => Buffer.from(Int8Array.from(s, (x) => int16(x) >> 8).buffer), 1],
  ['uint8', (s) => Buffer.from(Uint8Array.from(s, (x) => (int16(x) >> 8) + 128).buffer), 1],
  ['mu-law', (s) => Buffer.from(Uint8Array.from(s, muLaw).buffer), 1],
];

interface AudioSearch {
  /**
   * The forms in which these bytes contain a piece of the sound, including hexadecimal and base64 text and decimal
   * numbers.
   */
  in(bytes: Buffer): string[];
}

const placeBits = 22;
/** A number for the four bytes with which a window begins: where none has it, the rest is not looked at. */
const placeOf = (bytes: Buffer, at: number) => Math.imul(bytes.readInt32LE(at), 0x9e3779b1) >>> (32 - placeBits);

/** @param versions the sound at each sampling rate and phase in which it may appear */
export function openAudioSearch(versions: readonly Float32Array[]): AudioSearch {
  const windows = forms.map(([name, encode, width]) => {
    const length = run * (width === 1 ? 2 : 1) * width; // 8-bit forms match by chance more easily
    const keys = new Set<string>();
    const begins = new Uint8Array(2 ** placeBits);
    for (const version of versions) {
      const encoded = encode(version);
      for (let at = 0; at + length <= encoded.length; at += width) {
        const key = encoded.toString('latin1', at, at + length);
        if (new Set(key).size <= run / 2) continue; // silence is no trace
        keys.add(key);
        begins[placeOf(encoded, at)] = 1;
      }
    }
    return { name, length, keys, begins };
  });
  const numbers = versions.map((version) => [...version.subarray(0, version.length)].map(int16));
  const decimals = new Set<string>();
  for (const values of numbers) for (let at = 0; at + run <= values.length; at++) decimals.add(values.slice(at, at + run).join(','));

  const raw = (bytes: Buffer, how = ''): string[] =>
    windows.flatMap(({ name, length, keys, begins }) => {
      for (let at = 0; at + length <= bytes.length; at++)
        if (begins[placeOf(bytes, at)] === 1 && keys.has(bytes.toString('latin1', at, at + length))) return [name + how];
      return [];
    });
  return {
    in(bytes) {
      const text = bytes.toString('latin1');
      const found = raw(bytes);
      for (const [digits] of text.matchAll(/[0-9a-fA-F]{32,}/g))
        for (const skip of [0, 1]) found.push(...raw(Buffer.from(digits.slice(skip), 'hex'), ' in hexadecimal'));
      for (const [digits] of text.matchAll(/[A-Za-z0-9+/_-]{24,}/g))
        for (const skip of [0, 1, 2, 3]) found.push(...raw(Buffer.from(digits.slice(skip), 'base64'), ' in base64'));
      for (const [list] of text.matchAll(/-?\d+(?:[,; \n]+-?\d+){7,}/g)) {
        const values = list.split(/[,; \n]+/);
        for (let at = 0; at + run <= values.length; at++)
          if (decimals.has(values.slice(at, at + run).join(','))) {
            found.push('decimal numbers');
            break;
          }
      }
      return [...new Set(found)];
    },
  };
}
