// Loaded into both processes: the courier blocks at its start, before it listens to signals, until it is killed. It
// cannot show which part of a real start takes this long.
if (process.argv.includes('deliver')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
