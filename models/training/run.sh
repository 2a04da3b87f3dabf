#!/bin/sh
# From recordings to the shipped files, one command: run.sh AUDIO_DIR WORK_DIR
# Debian, whose archive is also where packages.py finds recordings (4 GB to download): python3-torch libopenblas0 python3-pandas python3-scipy
# python3-soundfile praat libjemalloc2 debian-archive-keyring. A quarter of an hour on a data-centre GPU, which train.py takes where
# there is one and torch sees it; some 16 hours on two cores.
set -eu
mkdir -p "$2"
audio=$(realpath "$1") work=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
model=$here/../street
PATH="$here/../../node_modules/.bin:$PATH"
cd "$here"
# the default allocator gives memory back after every step and faults it in again: a third of the time
train() {
  echo "# $*"
  LD_PRELOAD=$(ls /usr/lib/*/libjemalloc.so.2 2>/dev/null) MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always /usr/bin/python3 train.py "$audio" "$work" "$@"
}
{
  /usr/bin/python3 packages.py "$work"
  /usr/bin/python3 voices.py "$audio" "$work"
  for seed in 1 2 3 4; do train "teacher-$seed" --teacher --steps 3500 --seed $seed; done
  train pupil --steps 7100 --seed 11 --taught-by "$work"/teacher-?.pt
  /usr/bin/python3 export.py "$work/pupil.pt" "$model"
  /usr/bin/python3 scenes.py "$audio" "$work" "$work/held-out"
  echo "# thresholds"
  node choose-thresholds.ts "$model" "$work/held-out"
} >"$work/training.log"
cp "$work/training.log" "$model/training.log"
# what the card says of long sound without a target
/usr/bin/python3 scenes.py "$audio" "$work" "$work/target-free" --target-free
for point in balanced strict; do
  node ../../agent/main.ts replay "$work"/target-free/*.flac --model "$model" --operating-point $point --json >"$work/target-free-$point.ndjson"
  /usr/bin/python3 card_figures.py "$work/target-free" "$work/target-free-$point.ndjson"
done
