// Child process of the web-audio microphone: argv DEVICE RATE; 16-bit little-endian mono on stdout. It may die; the listener does not.
import { captureMicrophone } from './web-audio.ts';

const [device = 'default', rate = '48000'] = process.argv.slice(2);
await captureMicrophone(device, Number(rate), (samples) => {
  const pcm = Buffer.allocUnsafe(samples.length * 2);
  for (let i = 0; i < samples.length; i++) pcm.writeInt16LE(Math.round(Math.max(-1, Math.min(1, samples[i] as number)) * 32767), i * 2);
  process.stdout.write(pcm, () => pcm.fill(0));
}).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
