#!/bin/sh
# From recordings to the shipped files, one command: run.sh AUDIO_DIR WORK_DIR [start | published]. `published` goes on from
# the weights in models/street (so came 0.7.0 from 0.6.0), `start` begins anew. Debian, whose archive is also where
# packages.py finds recordings (4 GB to download): python3-torch libopenblas0 python3-pandas python3-scipy
# python3-soundfile python3-onnx praat libjemalloc2 debian-archive-keyring. About two hours on two cores.
set -eu
audio=$1 work=$2 from=${3:-start}
here=$(cd "$(dirname "$0")" && pwd)
model=$here/../street
PATH="$here/../../node_modules/.bin:$PATH"
mkdir -p "$work"
cd "$here"
# the default allocator gives memory back after every step and faults it in again: a third of the time
train() { LD_PRELOAD=$(ls /usr/lib/*/libjemalloc.so.2 2>/dev/null) MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always /usr/bin/python3 train.py "$audio" "$work" "$@"; }
{
  /usr/bin/python3 packages.py "$work"
  /usr/bin/python3 voices.py "$audio" "$work"
  weights=$work/model.pt
  if [ "$from" = published ]; then
    cp "$model/model.onnx" "$work/published.onnx"
    echo "# on from the published weights: their false alarms are mined and drawn again"
    train --steps 6500 --rate 2e-3 --seed 13 --published "$work/published.onnx"
    mv "$work/model.pt" "$work/first.pt"
    echo "# and once more"
    train --steps 5000 --rate 1.5e-3 --seed 15 --start "$work/first.pt"
    echo "# the mean with the published weights"
    /usr/bin/python3 mean.py "$work"
    weights=$work/mean.pt
  else
    echo "# stage 1"
    train --steps 5200
    mv "$work/model.pt" "$work/first.pt"
    echo "# stage 2: false alarms of stage 1 are mined and drawn again"
    train --steps 6500 --rate 1.5e-3 --seed 4 --start "$work/first.pt"
  fi
  /usr/bin/python3 export.py "$weights" "$model"
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
