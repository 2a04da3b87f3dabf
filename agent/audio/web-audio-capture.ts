// Child process of the web-audio microphone: argv DEVICE RATE; 16-bit little-endian mono on stdout. It may crash
// without ending the listener.
import '../lib/own-packages.ts';

import { openPcmWriter } from './pcm-writer.ts';
import { captureMicrophone } from './web-audio.ts';

const [device = 'default', rate = '48000'] = process.argv.slice(2);
const keptSeconds = 0.5; // buffered for a late reader, as arecord does
await captureMicrophone(device, Number(rate), openPcmWriter(process.stdout, Number(rate), keptSeconds)).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
