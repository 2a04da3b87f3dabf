"""Decode the recordings once, clean their labels, and split them by recording group.

`build_cache` writes two files: `clips.npz` (int16 waveform of all clips end to end, 16 kHz mono, each scaled to a peak
of 0.9 and cut to its active part) and `clips.csv` (one row a clip: place in the waveform, label, group, split,
teacher scores). Every later step reads those two files only.
"""
import hashlib
import os

import numpy as np
import pandas as pd
import soundfile as sf

SAMPLE_RATE = 16000
TARGETS = ["glass_break", "shout", "bang"]
TARGET_OF_LABEL = {"glass": 0, "shout": 1, "scream": 1, "bang_gunshot": 2, "bang_explosion": 2, "bang_firework": 2}
CATEGORIES = ["alarm", "ambience", "bang_explosion", "bang_firework", "bang_gunshot", "birds", "clap", "crowd", "crying",
              "dog", "door", "engine", "footsteps", "glass", "horn", "impact_other", "laughter", "music", "other",
              "scream", "shout", "siren", "speech", "tools", "weather"]
BED_LABELS = ["ambience", "weather", "engine", "crowd", "birds"]
TEACHER = {
    0: ["Glass", "Shatter", "Smash", "Breaking"],
    1: ["Shout", "Yell", "Screaming", "Bellow", "Whoop", "Children shouting"],
    2: ["Gunshot", "Machine gun", "Explosion", "Fireworks", "Firecracker", "Bang", "Boom"],
}
HELD_OUT_SHARE = 0.14
ENVELOPE_SAMPLES = 320


def envelope(x):
    """RMS per 20 ms: x [samples] float -> [samples // 320]."""
    n = len(x) // ENVELOPE_SAMPLES
    return np.sqrt((x[: n * ENVELOPE_SAMPLES].reshape(n, ENVELOPE_SAMPLES) ** 2).mean(1) + 1e-12)


def loudest_third(x):
    """RMS over the loudest third of the 20 ms frames: the level that signal-to-noise ratios refer to."""
    e = envelope(x) if len(x) >= ENVELOPE_SAMPLES else np.array([np.sqrt((x ** 2).mean() + 1e-12)])
    return float(np.sqrt((np.sort(e)[-max(1, len(e) // 3):] ** 2).mean()))


def active_part(x, floor_db=-50.0):
    """Cut what lies more than floor_db below the loudest frame (or is digital silence) off both ends."""
    e = envelope(x)
    if len(e) < 3 or e.max() < 1e-4:
        return None
    keep = np.where(e > max(1e-4, e.max() * 10 ** (floor_db / 20)))[0]
    return x[max(0, keep[0] - 2) * ENVELOPE_SAMPLES: (keep[-1] + 1) * ENVELOPE_SAMPLES]


def is_held_out(group, share=HELD_OUT_SHARE):
    """A fixed pseudo-random choice by group name, so that no recording is on both sides."""
    return int(hashlib.md5(("street:" + group).encode()).hexdigest()[:8], 16) / 16 ** 8 < share


def teacher_table(audio_dir):
    """Largest score per clip and target family, and the clip-level maximum of every teacher class."""
    t = pd.read_csv(os.path.join(audio_dir, "teacher.csv"))
    peak = t.drop(columns=["start_s", "top5"]).groupby("path").max()
    classes = list(peak.columns)
    for k, names in TEACHER.items():
        peak[f"support{k}"] = peak[names].max(axis=1)
    return peak, classes


def select(manifest):
    """Drop clips whose label neither its publisher nor the teacher supports, and mislabelled negatives."""
    m = manifest[manifest.label != "bang_other"].copy()
    target = m.label.map(TARGET_OF_LABEL)
    support = np.select([target == 0, target == 1, target == 2], [m.support0, m.support1, m.support2], 0.0)
    doubtful = m.doubtful.fillna(False).astype(bool)
    drop = target.notna() & doubtful & (support < 0.05)
    negative = target.isna()
    drop |= negative & (m.label != "weather") & ((m.support0 > 0.5) | (m.support1 > 0.4) | (m.support2 > 0.5))
    drop |= negative & (m.label == "weather") & (m.support2 > 0.8)
    drop |= (m.label == "crowd") & (m.support1 > 0.25)
    m["target"] = target.fillna(-1).astype(int)
    # Draw weight inside a group: doubtful clips and clips without any teacher support are heard less often.
    m["weight"] = np.where(doubtful, 0.3, 1.0) * np.where(target.notna() & (support < 0.01), 0.6, 1.0)
    return m[~drop]


def build_cache(audio_dir, out_dir, max_seconds=30.0):
    """Decode all selected clips; returns (waveform int16 [total], table)."""
    os.makedirs(out_dir, exist_ok=True)
    wave_path, table_path = os.path.join(out_dir, "clips.npy"), os.path.join(out_dir, "clips.csv")
    if os.path.exists(wave_path) and os.path.exists(table_path):
        return np.load(wave_path, mmap_mode="r"), pd.read_csv(table_path)
    manifest = pd.read_csv(os.path.join(audio_dir, "manifest.csv"))
    peak, classes = teacher_table(audio_dir)
    m = select(manifest.join(peak, on="path"))
    sizes = m.groupby(["split", "label", "group"]).size()
    label_size = m.groupby(["split", "label"]).size()
    ruling = {g for (s, l, g), n in sizes.items() if s == "train" and n > 0.2 * label_size[s, l] and n > 20}
    pieces, rows, position = [], [], 0
    for r in m.to_dict("records"):
        x, rate = sf.read(os.path.join(audio_dir, r["path"]), dtype="float32", always_2d=True)
        assert rate == SAMPLE_RATE, r["path"]
        x = active_part(x.mean(1)[: int(max_seconds * rate)])
        if x is None or len(x) < 1600:
            continue
        x = (x / np.abs(x).max() * 0.9 * 32767).astype(np.int16)
        split = r["split"]
        if split == "train" and is_held_out(r["group"]) and r["group"] not in ruling and "gabemagee" not in r["group"]:
            split = "held_out"
        row = {k: r[k] for k in ["path", "label", "group", "source", "licence", "licence_tier", "target", "weight", "doubtful"]}
        row.update(split=split, start=position, length=len(x), **{"t_" + c: round(r[c], 4) if r[c] == r[c] else 0.0 for c in classes})
        rows.append(row)
        pieces.append(x)
        position += len(x)
    table, wave = pd.DataFrame(rows), np.concatenate(pieces)
    np.save(wave_path, wave)
    table.to_csv(table_path, index=False)
    return wave, table


if __name__ == "__main__":
    import sys
    _, t = build_cache(sys.argv[1], sys.argv[2])
    print(t.groupby(["split", "label"]).agg(clips=("path", "size"), groups=("group", "nunique")).unstack(0).to_string())
