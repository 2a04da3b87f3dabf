"""Mixes scenes to choose thresholds on, from recordings that training never saw: scenes.py AUDIO_DIR WORK_DIR OUT_DIR.

A third of the scenes of 60 s hold five targets among confusers. Two thirds hold confusers only: 1.8 hours of two hours
and forty minutes, so one false alarm more or less moves the rate there by 0.6 an hour. scenes.json names every sound.

With --target-free, the scenes hold every clip of the `dev` split that is no target, cleaned or not, and no targets:
first all beds one after the other as they are, then every other clip at 0 to 24 dB over a bed, one every five seconds.
"""
import argparse
import json
import os

import numpy as np
import soundfile as sf
from scipy.signal import fftconvolve

from corpus import BEDS, ENVELOPE, LABELS, SAMPLE_RATE, Clip, activity, is_held_out, load
from mixing import BED_WEIGHTS, room, street
from packages import package_clips

SECONDS, SCENES = 60, 160
LIKELY = ["crying", "laughter", "door", "impact_other", "tools", "music", "speech", "dog", "horn", "siren", "clap", "crowd", "alarm", "other"]


def loudest_third(x: np.ndarray) -> float:
    """The level of a sound, whatever silence surrounds it: RMS of the loudest third of its 20 ms steps."""
    n = len(x) // ENVELOPE
    if n < 3:
        return float(np.sqrt((x**2).mean() + 1e-9))
    e = np.sort((x[: n * ENVELOPE].reshape(n, ENVELOPE) ** 2).mean(1))
    return float(np.sqrt(e[-max(1, n // 3) :].mean()) + 1e-6)


def by_group(clips: list[Clip]) -> list[list[Clip]]:
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(clip.group, []).append(clip)
    return list(groups.values())


class Recordings:
    """Held-out recordings to draw from, and how their sound changes on its way to the microphone: less than in
    training, and one sound at a time.
    """

    def __init__(self, clips: list[Clip], seed: int):
        self.rng = np.random.default_rng(seed)
        of = lambda wanted: {k: by_group([c for c in clips if c.kind == k and wanted(c)]) for k in sorted({c.kind for c in clips if wanted(c)})}
        self.negatives = of(lambda c: c.label is None)
        self.by_kind = [of(lambda c: c.label == label) for label in range(3)]
        self.beds = [c for c in clips if c.label is None and c.kind in BEDS and len(c.samples) > 3 * SAMPLE_RATE]
        weights = np.array([BED_WEIGHTS.get(c.kind, 1.0) for c in self.beds])
        self.bed_weights = weights / weights.sum()
        self.rooms = [room(self.rng) for _ in range(80)] + [street(self.rng) for _ in range(40)]

    def draw(self, groups: list[list[Clip]]) -> Clip:
        group = groups[self.rng.integers(len(groups))]
        return group[self.rng.integers(len(group))]

    def travel(self, x: np.ndarray) -> np.ndarray:
        """The sound as it arrives at the microphone, after changes of speed, band, room and quantiser."""
        rng = self.rng
        if rng.random() < 0.5:
            n = int(len(x) / rng.uniform(0.85, 1.18))
            x = np.interp(np.linspace(0, len(x) - 1, n), np.arange(len(x)), x).astype("float32")
        if rng.random() < 0.75:
            n = 1 << int(np.ceil(np.log2(len(x) + 1)))
            f = np.linspace(0, SAMPLE_RATE / 2, n // 2 + 1)
            gain = np.ones(len(f))
            if rng.random() < 0.6:
                gain /= np.sqrt(1 + (f / rng.uniform(1800, 8000)) ** rng.choice([2, 4, 12]))
            if rng.random() < 0.4:
                gain /= np.sqrt(1 + (rng.uniform(40, 400) / (f + 1)) ** 2)
            if rng.random() < 0.5:
                gain *= 10 ** (np.interp(f, np.geomspace(60, 8000, 6), rng.uniform(-6, 6, 6)) / 20)
            x = np.fft.irfft(np.fft.rfft(x, n) * gain, n)[: len(x)].astype("float32")
        if rng.random() < 0.5:
            x = fftconvolve(x, self.rooms[rng.integers(len(self.rooms))])[: len(x) + 4000].astype("float32")
        if rng.random() < 0.15:
            step = 2.0 ** -rng.integers(6, 10)
            x = (np.round(x / step) * step).astype("float32")
        return x


def build(recordings: Recordings, rng, quiet: bool, snr_db: float):
    length = SECONDS * SAMPLE_RATE
    bed_clip = recordings.beds[rng.choice(len(recordings.beds), p=recordings.bed_weights)]
    bed = bed_clip.samples.astype("float32") / 32768
    mix = np.tile(bed, length // len(bed) + 1)[:length]
    mix = mix / (np.sqrt((mix**2).mean()) + 1e-6)
    sounds, events = ([None] * int(rng.integers(6, 13)) if quiet else [0, 1, 2, int(rng.integers(3)), int(rng.integers(3))] + [None] * int(rng.integers(3, 7))), []
    order = rng.permutation(len(sounds))
    slots = np.linspace(1, SECONDS - 5, len(sounds)) + rng.uniform(-0.5, 0.5, len(sounds))
    for slot, index in zip(slots, order):
        label = sounds[index]
        if label is None:
            kind = str(rng.choice([k for k in LIKELY if k in recordings.negatives]))
            clip, level = recordings.draw(recordings.negatives[kind]), float(rng.uniform(0, 24))
        else:
            kind = str(rng.choice(list(recordings.by_kind[label])))
            clip, level = recordings.draw(recordings.by_kind[label][kind]), snr_db
        x = clip.samples.astype("float32") / 32768
        if label is not None:
            active = np.where(activity(clip) == 1)[0]
            start = (active[0] if len(active) else 0) * ENVELOPE
            x = x[max(0, start - 800) :]
        x = x[: 4 * SAMPLE_RATE]
        if rng.random() < 0.5:
            x = recordings.travel(x)
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
    parser.add_argument("--seed", type=int, default=7, help="another one mixes other scenes of the same recordings")
    parser.add_argument("--packages", action="store_true", help="with held-out recordings of Debian's packages")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    if args.target_free:
        clips, _ = load(args.audio, args.work, "dev", clean=False)
        mixes = target_free([c for c in clips if c.label is None], rng)
    else:
        clips, classes = load(args.audio, args.work)
        clips += package_clips(args.work, len(classes)) if args.packages else []
        recordings = Recordings([c for c in clips if is_held_out(c.kind, c.group)], args.seed)
        mixes = (build(recordings, rng, i % 3 > 0, [0, 6, 12, 20][i // 3 % 4]) for i in range(SCENES))
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
