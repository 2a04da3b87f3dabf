// Planted in both halves: the courier comes no further than its start, before it listens to signals, until it is killed.
// It cannot show which part of a real start takes so long.
if (process.argv.includes('deliver')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
