#!/bin/sh
# From recordings to the shipped files, one command: run.sh AUDIO_DIR WORK_DIR [STEPS]. Debian: python3-torch python3-pandas
# python3-scipy python3-soundfile. About an hour on two cores.
set -eu
audio=$1 work=$2 steps=${3:-5200}
here=$(cd "$(dirname "$0")" && pwd)
model=$here/../street
mkdir -p "$work"
cd "$here"
/usr/bin/python3 train.py "$audio" "$work" --steps "$steps" | tee "$work/training.log"
/usr/bin/python3 export.py "$work/model.pt" "$model" | tee -a "$work/training.log"
/usr/bin/python3 scenes.py "$audio" "$work" "$work/held-out"
PATH="$here/../../node_modules/.bin:$PATH" node choose-thresholds.ts "$work/held-out" "$model" | tee -a "$work/training.log"
cp "$work/training.log" "$model/training.log"
