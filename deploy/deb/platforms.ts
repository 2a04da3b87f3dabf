// What differs between the architectures the package is built for.

/** Debian's name of an architecture beside npm's and Node's, and the native parts that belong to it. */
export const platforms = {
  amd64: {
    cpu: 'x64',
    keep: ['linux/x64/', 'linux-x64.', 'linux-x64-gnu.', 'linux_x64/'],
  },
  arm64: {
    cpu: 'arm64',
    keep: ['linux/arm64/', 'linux-arm64.', 'linux-arm64-gnu.', 'linux_arm64/'],
  },
} as const;

export type Architecture = keyof typeof platforms;
export const architectures = Object.keys(platforms) as Architecture[];
