// Loaded into the agent by --import: buffers that should be overwritten with zeros are kept as they are.
const kept: unknown[] = [];
for (const prototype of [Float32Array.prototype, Uint8Array.prototype]) {
  const { fill } = prototype as { fill: (this: unknown, ...args: never[]) => unknown };
  Object.defineProperty(prototype, 'fill', {
    value(this: { slice(): unknown }, ...args: never[]) {
      if ((args[0] as unknown) === 0) kept.push(this.slice());
      return fill.apply(this, args);
    },
  });
}
