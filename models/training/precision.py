"""The average precision of frames, which needs no thresholds: precision.py AUDIO_DIR WORK_DIR WEIGHTS...

Prints that of glass, shouts and bangs in 1,024 mixtures of four seconds of development recordings, and of held-out ones.
"""
import sys

import torch

from corpus import load
from mixing import Mixer
from train import BATCH, all_clips, heard_well, read

BATCHES = 16


def mixtures(clips):
    mixer = Mixer(clips, 5)
    return [mixer.batch(BATCH)[:2] for _ in range(BATCHES)]


def main():
    audio, work, *weights = sys.argv[1:]
    torch.set_num_threads(1)
    sets = {"development": mixtures(load(audio, work, "dev")[0]), "held-out": mixtures(all_clips(audio, work)[1])}
    for path in weights:
        network = read(path)
        print(path, {name: heard_well(network, batches, "cpu") for name, batches in sets.items()}, flush=True)


if __name__ == "__main__":
    main()
