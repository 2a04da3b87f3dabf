"""Loads the recordings: decodes them once to 16-bit mono at 16 kHz, splits them by recording group and cleans them with
the tagger's scores.

A recording group is an original recording, session or speaker. `is_held_out` decides for all clips of one kind of a
group together, so no split divides them.
"""
import hashlib
import os
from dataclasses import dataclass, field
from math import gcd
from multiprocessing import Pool

import numpy as np
import pandas as pd
import soundfile as sf
from scipy.signal import resample_poly

SAMPLE_RATE = 16000
LABELS = ["glass_break", "shout", "bang"]
LABEL_OF = {"glass": 0, "scream": 1, "shout": 1, "acted": 1, "bang_gunshot": 2, "bang_explosion": 2, "bang_firework": 2}
IGNORED = {"bang_other"}  # ambiguous: may or may not be a target
BEDS = {"ambience", "weather", "engine", "crowd", "tools", "birds", "other", "music"}
TAGGER_OF = [
    ["Glass", "Shatter", "Smash", "Breaking"],
    ["Shout", "Yell", "Screaming", "Bellow", "Whoop", "Children shouting"],
    ["Gunshot", "Machine gun", "Explosion", "Fireworks", "Firecracker", "Bang", "Boom"],
]
HELD_OUT_PERCENT = 13
ENVELOPE = 320  # samples in an envelope step: 20 ms


@dataclass
class Clip:
    """One recording. `samples`: int16 [n]; `tagger`: float32 [windows of 2 s every 1 s, classes]; `label`: index or None."""

    path: str
    kind: str
    group: str
    samples: np.ndarray
    tagger: np.ndarray
    label: int | None
    evidence: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), "float32"))


def is_held_out(kind: str, group: str) -> bool:
    """Whether the clips of one kind of a group are held out from training. A hash decides, so no list is needed.

    A group with clips of several kinds can lie on both sides of the split. Hashing the group alone would avoid that,
    but would give another split than the one the weights were trained with.
    """
    digest = hashlib.sha256(f"{kind}/{group}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT


def decode(path: str) -> np.ndarray:
    """Mono int16 at 16 kHz, at most 30 s, with digital silence cut from both ends and the peak scaled to -1 dBFS."""
    x, rate = sf.read(path, dtype="float32", always_2d=True)
    x = x.mean(1)
    if rate != SAMPLE_RATE:
        g = gcd(rate, SAMPLE_RATE)
        x = resample_poly(x, SAMPLE_RATE // g, rate // g)
    x = x[: 30 * SAMPLE_RATE]
    steps = np.where(envelope(x) > 1e-4)[0]
    if len(steps) < 4:
        return np.zeros(0, "int16")
    x = x[steps[0] * ENVELOPE : (steps[-1] + 1) * ENVELOPE]
    return (x / (np.abs(x).max() + 1e-6) * 29000).astype("int16")


def envelope(x: np.ndarray) -> np.ndarray:
    """Root mean square of each 20 ms step: [len(x) // 320]."""
    n = len(x) // ENVELOPE
    return np.sqrt((x[: n * ENVELOPE].reshape(n, ENVELOPE).astype("float32") ** 2).mean(1) + 1e-12)


def decode_once(audio: str, paths: list[str], store: str) -> list[np.ndarray]:
    """The decoded samples of each path below `audio`.

    They come from `store` where it holds those of the same file (same path, size and modification time).
    """
    found = [os.stat(os.path.join(audio, path)) for path in paths]
    keys = [f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in zip(paths, found)]
    known = {}
    if os.path.exists(store):
        with np.load(store) as saved:
            if "keys" in saved:
                samples, lengths = saved["samples"], saved["lengths"]
                known = {str(key): samples[end - n : end] for key, n, end in zip(saved["keys"], lengths, np.cumsum(lengths))}
    absent = [i for i, key in enumerate(keys) if key not in known]
    if absent:
        with Pool(2) as pool:
            decoded = pool.map(decode, [os.path.join(audio, paths[i]) for i in absent], chunksize=32)
        known.update((keys[i], x) for i, x in zip(absent, decoded))
        os.makedirs(os.path.dirname(store), exist_ok=True)
        unfinished = f"{store}.{os.getpid()}"
        with open(unfinished, "wb") as f:
            np.savez(f, keys=np.array(keys), lengths=np.array([len(known[key]) for key in keys]), samples=np.concatenate([known[key] for key in keys]))
        os.replace(unfinished, store)
    return [known[key] for key in keys]


def load(audio: str, cache: str, split: str = "train", clean: bool = True) -> tuple[list[Clip], list[str]]:
    """All usable clips of a split (only trusted ones if `clean`) and the names of the tagger's classes.

    Decoded samples are kept in `cache`.
    """
    rows = pd.read_csv(os.path.join(audio, "manifest.csv"))
    rows = rows[(rows.split == split) & ~rows.label.isin(IGNORED)].reset_index(drop=True)
    decoded = decode_once(audio, list(rows.path), os.path.join(cache, f"{split}.npz"))
    tagged = pd.read_csv(os.path.join(audio, "teacher.csv"))
    classes = [c for c in tagged.columns if c not in ("path", "start_s", "top5")]
    heard = {p: g.sort_values("start_s")[classes].to_numpy("float32") for p, g in tagged.groupby("path")}
    clips = []
    for x, row in zip(decoded, rows.itertuples()):
        if len(x) < SAMPLE_RATE // 10:
            continue
        scores = heard.get(row.path, np.zeros((1, len(classes)), "float32"))
        evidence = np.stack([scores[:, [classes.index(c) for c in names]].max(1) for names in TAGGER_OF], 1)
        clip = Clip(row.path, row.label, str(row.group), x, scores, LABEL_OF.get(row.label), evidence)
        if not clean or is_trusted(clip, bool(row.doubtful) and row.doubtful == row.doubtful):
            clips.append(clip)
    return clips, classes


def is_trusted(clip: Clip, doubtful: bool) -> bool:
    """Whether a clip's label can be trusted.

    A target is not trusted if measurements doubt it and the tagger does not hear it either. A negative is not trusted
    if it sounds like a target to the tagger.
    """
    best = clip.evidence.max(0)
    if clip.label is not None:
        return not doubtful or best[clip.label] > 0.05
    limit = {"crowd": 0.25, "speech": 0.35, "other": 0.25}.get(clip.kind, 0.4)
    if clip.kind in ("door", "impact_other", "tools", "clap", "footsteps", "weather"):
        return best[0] < 0.5 and best[1] < 0.4  # a slam or thunder may sound like a bang
    return bool((best < limit).all())


def activity(clip: Clip) -> np.ndarray:
    """For each 20 ms step of a target clip: 1 present, 0 absent, -1 unclear (quiet tail, unsure tagger)."""
    e = envelope(clip.samples)
    smooth = np.maximum(e, np.concatenate([e[:1], e[:-1]]))
    level = smooth / (smooth.max() + 1e-9)
    act = np.where(level > 0.1, 1, np.where(level > 0.02, -1, 0)).astype("int8")
    if clip.evidence.shape[0] > 1:
        ev = clip.evidence[:, clip.label]
        seconds = (np.arange(len(act)) * ENVELOPE / SAMPLE_RATE)
        # every step is covered by the windows that start up to 2 s before it
        w = np.clip(seconds.astype(int), 0, len(ev) - 1)
        here = np.maximum(ev[w], ev[np.clip(w - 1, 0, len(ev) - 1)])
        act[(here < 0.15 * ev.max()) & (act == 1)] = -1
    return act
