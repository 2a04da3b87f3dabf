#!/bin/sh
# From recordings to the shipped files, one command: run.sh AUDIO_DIR WORK_DIR [STEPS [STEPS_WITH_ALARMS]]. Debian: python3-torch
# python3-pandas python3-scipy python3-soundfile. About two hours on two cores.
set -eu
audio=$1 work=$2 steps=${3:-5200} more=${4:-6500}
here=$(cd "$(dirname "$0")" && pwd)
model=$here/../street
PATH="$here/../../node_modules/.bin:$PATH"
mkdir -p "$work"
cd "$here"
{
  echo "# stage 1"
  /usr/bin/python3 train.py "$audio" "$work" --steps "$steps"
  mv "$work/model.pt" "$work/first.pt"
  echo "# stage 2: false alarms of stage 1 are mined and drawn again"
  /usr/bin/python3 train.py "$audio" "$work" --steps "$more" --rate 1.5e-3 --seed 4 --start "$work/first.pt"
  /usr/bin/python3 export.py "$work/model.pt" "$model"
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
