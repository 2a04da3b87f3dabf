"""Scenes from recordings that training never saw, to choose thresholds on: scenes.py AUDIO_DIR WORK_DIR OUT_DIR.

A third of the scenes of 60 s hold five targets among confusers, two thirds hold confusers only: two hours and forty
minutes in all, so that a false alarm more or less moves the rate by 0.6 an hour. scenes.json names every sound.

With --target-free: every clip of the `dev` split that is no target, cleaned or not, in scenes that hold none: first all
beds one after the other as they are, then every other clip at 0 to 24 dB over a bed, one every five seconds.
"""
import argparse
import json
import os

import numpy as np
import soundfile as sf

from corpus import BEDS, ENVELOPE, LABELS, SAMPLE_RATE, is_held_out, load
from mixing import Mixer, loudest_third
from packages import package_clips

SECONDS, SCENES = 60, 160
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


def target_free(clips, rng):
    """Yields (samples, events): all beds end to end, then all other clips mixed over beds."""
    scaled = lambda clip: clip.samples.astype("float32") / 32768 / loudest_third(clip.samples.astype("float32") / 32768)
    beds = [c for c in clips if c.kind in BEDS]
    parts, events, at = [], [], 0
    for clip in beds:
        parts.append(scaled(clip))
        events.append({"onset": at / SAMPLE_RATE, "offset": (at + len(parts[-1])) / SAMPLE_RATE, "kind": clip.kind, "clip": clip.path})
        at += len(parts[-1])
        if at > 300 * SAMPLE_RATE or clip is beds[-1]:
            yield np.concatenate(parts) * 0.02, events
            parts, events, at = [], [], 0
    others = [c for c in clips if c.kind not in BEDS]
    others = [others[i] for i in rng.permutation(len(others))]
    long_beds = [c for c in beds if len(c.samples) > 4 * SAMPLE_RATE]
    for first in range(0, len(others), 12):
        bed = scaled(long_beds[rng.integers(len(long_beds))])
        mix = np.tile(bed, SECONDS * SAMPLE_RATE // len(bed) + 1)[: SECONDS * SAMPLE_RATE]
        events = []
        for i, clip in enumerate(others[first : first + 12]):
            x = scaled(clip)[: 5 * SAMPLE_RATE] * 10 ** (float(rng.uniform(0, 24)) / 20)
            at = i * 5 * SAMPLE_RATE
            mix[at : at + len(x)] += x
            events.append({"onset": i * 5.0, "offset": i * 5.0 + len(x) / SAMPLE_RATE, "kind": clip.kind, "clip": clip.path})
        yield mix * min(10 ** (rng.uniform(-45, -25) / 20), 0.99 / np.abs(mix).max()), events


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("audio")
    parser.add_argument("work")
    parser.add_argument("out")
    parser.add_argument("--target-free", action="store_true")
    parser.add_argument("--packages", action="store_true", help="with held-out recordings of Debian's packages")
    args = parser.parse_args()
    rng = np.random.default_rng(7)
    if args.target_free:
        clips, _ = load(args.audio, args.work, "dev", clean=False)
        mixes = target_free([c for c in clips if c.label is None], rng)
    else:
        clips, classes = load(args.audio, args.work)
        clips += package_clips(args.work, len(classes)) if args.packages else []
        mixer = Mixer([c for c in clips if is_held_out(c.kind, c.group)], 7)
        mixes = (build(mixer, rng, i % 3 > 0, [0, 6, 12, 20][i // 3 % 4]) for i in range(SCENES))
    os.makedirs(args.out, exist_ok=True)
    scenes = []
    for i, (mix, events) in enumerate(mixes):
        name = f"scene-{i:03d}.flac"
        sf.write(os.path.join(args.out, name), mix, SAMPLE_RATE, subtype="PCM_16")
        scenes.append({"file": name, "seconds": len(mix) / SAMPLE_RATE, "events": events})
    with open(os.path.join(args.out, "scenes.json"), "w") as f:
        json.dump(scenes, f)


if __name__ == "__main__":
    main()
