"""Scenes from recordings that training never saw, to choose thresholds on: scenes.py AUDIO_DIR WORK_DIR OUT_DIR.

Half of the scenes of 60 s hold five targets among confusers, half hold confusers only. scenes.json names every sound.
"""
import json
import os
import sys

import numpy as np
import soundfile as sf

from corpus import ENVELOPE, LABELS, SAMPLE_RATE, is_held_out, load
from mixing import Mixer, loudest_third

SECONDS, SCENES = 60, 60
LIKELY = ["crying", "laughter", "door", "impact_other", "tools", "music", "speech", "dog", "horn", "siren", "clap", "crowd", "alarm", "other"]


def build(mixer: Mixer, rng, quiet: bool, snr_db: float):
    length = SECONDS * SAMPLE_RATE
    bed_clip = mixer.beds[rng.choice(len(mixer.beds), p=mixer.bed_weights)]
    bed = bed_clip.samples.astype("float32") / 32768
    mix = np.tile(bed, length // len(bed) + 1)[:length]
    mix = mix / (np.sqrt((mix**2).mean()) + 1e-6)
    sounds, events = ([None] * int(rng.integers(6, 13)) if quiet else [0, 1, 2, int(rng.integers(3)), int(rng.integers(3))] + [None] * int(rng.integers(3, 7))), []
    order = rng.permutation(len(sounds))
    slots = np.linspace(1, SECONDS - 5, len(sounds)) + rng.uniform(-0.5, 0.5, len(sounds))
    for slot, index in zip(slots, order):
        label = sounds[index]
        if label is None:
            kind = str(rng.choice([k for k in LIKELY if k in mixer.negatives]))
            clip, level = mixer.draw(mixer.negatives[kind]), float(rng.uniform(0, 24))
        else:
            kind = str(rng.choice(mixer.kinds_of[label]))
            clip, level = mixer.draw(mixer.by_kind[label][kind]), snr_db
        x = clip.samples.astype("float32") / 32768
        if label is not None:
            active = np.where(mixer.act[clip.path] == 1)[0]
            start = (active[0] if len(active) else 0) * ENVELOPE
            x = x[max(0, start - 800) :]
        x = x[: 4 * SAMPLE_RATE]
        if rng.random() < 0.5:
            x, _ = mixer.travel(x)
        x = x * 10 ** (level / 20) / loudest_third(x)
        at = int(slot * SAMPLE_RATE)
        x = x[: length - at]
        mix[at : at + len(x)] += x
        event = {"onset": at / SAMPLE_RATE, "offset": (at + len(x)) / SAMPLE_RATE, "kind": kind, "snr": level}
        events.append(event if label is None else {**event, "label": LABELS[label]})
    return mix * min(10 ** (rng.uniform(-45, -25) / 20), 0.99 / np.abs(mix).max()), events


def main():
    audio, work, out = sys.argv[1:4]
    clips, _ = load(audio, work)
    mixer = Mixer([c for c in clips if is_held_out(c.kind, c.group)], 7)
    rng = np.random.default_rng(7)
    os.makedirs(out, exist_ok=True)
    scenes = []
    for i in range(SCENES):
        mix, events = build(mixer, rng, i % 2 == 1, [0, 6, 12, 20][i // 2 % 4])
        name = f"held-out-{i:03d}.flac"
        sf.write(os.path.join(out, name), mix, SAMPLE_RATE, subtype="PCM_16")
        scenes.append({"file": name, "seconds": SECONDS, "events": events})
    with open(os.path.join(out, "scenes.json"), "w") as f:
        json.dump(scenes, f)


if __name__ == "__main__":
    main()
