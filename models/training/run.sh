#!/bin/sh
# From recordings to the shipped files, one command: run.sh AUDIO_DIR WORK_DIR [MODEL]. With the graph of street 0.7.0 as MODEL
# (the repository's history has it, and published.py reads it) half of what is made is 0.7.0, as in 0.8.0; without it both halves are trained from nothing.
# Debian, whose archive is also where packages.py finds recordings (4 GB to download): python3-torch libopenblas0 python3-pandas python3-scipy
# python3-soundfile python3-onnx praat libjemalloc2 debian-archive-keyring. One to two hours on two cores.
set -eu
audio=$1 work=$2 before=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
model=$here/../street
PATH="$here/../../node_modules/.bin:$PATH"
mkdir -p "$work"
cd "$here"
# the default allocator gives memory back after every step and faults it in again: a third of the time
train() { LD_PRELOAD=$(ls /usr/lib/*/libjemalloc.so.2 2>/dev/null) MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always /usr/bin/python3 train.py "$audio" "$work" "$@"; }
network() {
  echo "# network $1"
  train --steps 6000 --seed "$2"
  mv "$work/model.pt" "$work/$1.pt"
}
{
  /usr/bin/python3 packages.py "$work"
  /usr/bin/python3 voices.py "$audio" "$work"
  if [ "$before" ]; then /usr/bin/python3 published.py "$before" "$work/one.pt"; else network one 71; fi
  network two 72
  /usr/bin/python3 join.py "$work/joined.pt" "$work/one.pt" "$work/two.pt"
  /usr/bin/python3 export.py "$work/joined.pt" "$model"
  /usr/bin/python3 scenes.py "$audio" "$work" "$work/held-out"
  echo "# thresholds"
  node choose-thresholds.ts "$work/held-out" "$model"
} >"$work/training.log"
cp "$work/training.log" "$model/training.log"
# what the card says of long sound without a target
/usr/bin/python3 scenes.py "$audio" "$work" "$work/target-free" --target-free
for point in balanced strict; do
  node ../../agent/main.ts replay "$work"/target-free/*.flac --model "$model" --operating-point $point --json >"$work/target-free-$point.ndjson"
  /usr/bin/python3 card_figures.py "$work/target-free" "$work/target-free-$point.ndjson"
done
