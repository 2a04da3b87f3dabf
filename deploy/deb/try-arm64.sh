#!/bin/sh
# Loads the arm64 package on an x64 machine: every native part under qemu-user 10 of Debian 13 (7.2 of Debian 12 crashes in
# onnxruntime), then the demo scene through `tocsin replay`. Root, mmdebstrap and Debian's archive are needed; output: docs/package.md.
# Usage: deploy/deb/try-arm64.sh [tocsin_VERSION_arm64.deb]
set -eu
package=${1:+$(realpath -e -- "$1")} # before the cd
cd "$(dirname "$0")/../.."
if [ -z "$package" ]; then
  npm run -s deb -- --arch arm64
  package=$(ls -t deploy/deb/out/tocsin_*_arm64.deb | head -n 1)
fi
root=${XDG_CACHE_HOME:-$HOME/.cache}/tocsin-tests/trixie-qemu-arm64
if [ ! -d "$root" ]; then
  mkdir -p "$(dirname "$root")"
  mmdebstrap --quiet --variant=minbase --architectures=amd64,arm64 \
    --include=qemu-user,libc6:arm64,libstdc++6:arm64,libasound2t64:arm64 trixie "$root.$$" "${TOCSIN_DEBIAN_MIRROR:-http://deb.debian.org/debian}"
  mv "$root.$$" "$root"
fi
rm -rf "$root/srv/tocsin"
dpkg-deb -x "$package" "$root/srv/tocsin"
cp test/demo/scene.flac "$root/srv/tocsin/scene.flac"
arm64() { chroot "$root" env -i -C /srv/tocsin/usr/lib/tocsin HOME=/root qemu-aarch64 ./node "$@"; }

sha256sum "$package" | sed 's, .*/,  ,'
chroot "$root" qemu-aarch64 --version | head -n 1
arm64 -p '`node ${process.version} on ${process.arch}`'
arm64 --input-type=module -e '
import ort from "onnxruntime-node";
const session = await ort.InferenceSession.create("models/street/model.onnx");
console.log("onnxruntime", ort.env.versions.node, "inputs:", session.inputNames.join(" "));
import Database from "better-sqlite3";
console.log("sqlite", new Database(":memory:").prepare("select sqlite_version()").pluck().get());
import { OfflineAudioContext } from "node-web-audio-api";
const sound = await new OfflineAudioContext(1, 1, 16000).decodeAudioData((await import("node:fs")).readFileSync("/srv/tocsin/scene.flac").buffer);
console.log("node-web-audio-api decodes", sound.duration.toFixed(1), "s");
import { socketPair } from "./agent/lib/libc.ts";
import { readSync, writeSync } from "node:fs";
const [mine, other] = socketPair(200, 65536);
writeSync(other, "sound");
const heard = Buffer.alloc(8);
let end = "nothing";
const bytes = readSync(mine, heard);
try { readSync(mine, heard); } catch (error) { end = error.code; }
console.log("koffi calls libc:", bytes, "bytes through a pair of sockets; without any, a read ends with", end);
'
arm64 agent/main.ts replay /srv/tocsin/scene.flac --json
