"""Makes more voices than the recordings hold: voices.py AUDIO_DIR WORK_DIR. Writes WORK_DIR/voices.npz. Needs Debian's
praat.

There are three kinds of changed training clips, none from a held-out group:
- a shout or scream in another voice: pitch, vocal-tract length and duration are changed. It is still labelled a shout;
- speech with the marks of vocal effort, labelled a shout: higher pitch, raised first formant, longer vowels, a flatter
  spectrum between 0.5 and 4 kHz, roughness (described by Traunmueller & Eriksson, J. Acoust. Soc. Am. 107, 2000, and
  Lienard & Di Benedetto, J. Acoust. Soc. Am. 106, 1999);
- speech, laughter, crying and dogs in another voice, labelled as what they are, so that the change itself is no sign
  of a shout.
"""
import os
import subprocess
import sys
import tempfile
from multiprocessing import Pool

import numpy as np
import soundfile as sf

from corpus import SAMPLE_RATE, Clip, envelope, is_held_out, load
from packages import package_clips

VARIANTS = {"shout": 5, "scream": 6, "acted": 3, "speech": 1, "laughter": 6, "crying": 8, "dog": 1}
EFFORTS = 3  # shouted versions of each clip of speech; clips from the packages get one, because there are more of them
EFFORT = "effort"  # the kind of these versions


def changes(kind: str, effort: bool, rng) -> dict:
    """Random factors for one changed voice."""
    if effort:
        return {"ceiling": 600, "formant": rng.uniform(1.0, 1.2), "pitch": rng.uniform(1.35, 2.3), "range": rng.uniform(0.7, 1.6), "duration": rng.uniform(1.0, 1.5)}
    ceiling = 1400 if kind in ("scream", "acted") else 700
    return {
        "ceiling": ceiling, "formant": rng.uniform(0.82, 1.25), "pitch": 2 ** rng.uniform(-0.5, 0.5), "range": rng.uniform(0.7, 1.4), "duration": rng.uniform(0.75, 1.4),
    }


def strain(x: np.ndarray, rng) -> np.ndarray:
    """Adds what pitch alone does not give: a flatter spectrum, louder vowels, roughness, an overloaded throat."""
    n = 1 << int(np.ceil(np.log2(len(x) + 1)))
    f = np.linspace(0, SAMPLE_RATE / 2, n // 2 + 1)
    octaves = np.log2(np.clip(f, 400, rng.uniform(2500, 4500)) / 400)
    x = np.fft.irfft(np.fft.rfft(x, n) * 10 ** (octaves * rng.uniform(2, 7) / 20), n)[: len(x)]
    level = np.interp(np.arange(len(x)), np.arange(len(x) // 320 + 1) * 320, np.append(envelope(x), 1e-6))
    x = x * (level / (level.max() + 1e-9)) ** rng.uniform(0, 0.5)
    if rng.random() < 0.4:
        rate = rng.uniform(35, 110) * (1 + 0.1 * np.cumsum(rng.standard_normal(len(x))) / np.sqrt(len(x)))
        x = x * (1 + rng.uniform(0.2, 0.7) * np.sin(2 * np.pi * np.cumsum(rate) / SAMPLE_RATE))
    x = x / (np.abs(x).max() + 1e-9)
    drive = rng.uniform(0.5, 4)
    return np.tanh(drive * x)


def change(job) -> list[tuple[int, str, np.ndarray]]:
    """Makes changed versions of clips.

    `job` is a seed and clips as (index, kind, samples, number of shouted versions). Returns (index of the clip, kind,
    int16 samples) of each version.
    """
    seed, clips = job
    rng = np.random.default_rng(seed)
    out = []
    with tempfile.TemporaryDirectory() as folder:
        rows, made = ["input\toutput\tceiling\tformant\tpitch\trange\tduration"], []
        for index, kind, samples, efforts in clips:
            source = os.path.join(folder, f"{index}.wav")
            sf.write(source, samples[: 8 * SAMPLE_RATE], SAMPLE_RATE, subtype="PCM_16")
            plan = [(kind, False)] * VARIANTS[kind] + ([(EFFORT, True)] * efforts if kind == "speech" else [])
            for number, (new_kind, effort) in enumerate(plan):
                result = os.path.join(folder, f"{index}-{number}.wav")
                c = changes(kind, effort, rng)
                rows.append("\t".join([source, result, *(f"{c[k]:.4f}" for k in ("ceiling", "formant", "pitch", "range", "duration"))]))
                made.append((index, new_kind, effort, result))
        table = os.path.join(folder, "jobs.tsv")
        with open(table, "w") as f:
            f.write("\n".join(rows) + "\n")
        subprocess.run(["praat", "--run", os.path.join(os.path.dirname(os.path.abspath(__file__)), "voices.praat"), table], check=True, capture_output=True, timeout=600)
        for index, kind, effort, result in made:
            if not os.path.exists(result):
                continue
            x, _ = sf.read(result, dtype="float32")
            if len(x) < SAMPLE_RATE // 10 or np.abs(x).max() < 1e-4:
                continue
            if effort:
                x = strain(x, rng)
            out.append((index, kind, (x / np.abs(x).max() * 29000).astype("int16")))
    return out


def changed_voices(clips: list[Clip], work: str) -> list[Clip]:
    """The clips of voices.npz as `Clip`s, each in the group of the recording from which it was made."""
    by_path = {c.path: c for c in clips}
    with np.load(os.path.join(work, "voices.npz")) as saved:
        paths, kinds, lengths, samples = saved["paths"], saved["kinds"], saved["lengths"], saved["samples"]
    ends, out = np.cumsum(lengths), []
    for i, (path, kind) in enumerate(zip(paths, kinds)):
        origin = by_path.get(str(path))
        if origin is None or is_held_out(origin.kind, origin.group):
            continue
        label = 1 if kind in (EFFORT, "shout", "scream", "acted") else None
        heard = origin.tagger.max(0, keepdims=True)
        out.append(Clip(f"{path}#{i}", str(kind), origin.group, samples[ends[i] - lengths[i] : ends[i]], heard, label))
    return out


def main():
    audio, work = sys.argv[1:3]
    clips, classes = load(audio, work)
    recorded = len(clips)
    clips += package_clips(work, len(classes))
    chosen = [(i, c.kind, c.samples, EFFORTS if i < recorded else 1) for i, c in enumerate(clips) if c.kind in VARIANTS and not is_held_out(c.kind, c.group)]
    jobs = [(seed, chosen[first : first + 20]) for seed, first in enumerate(range(0, len(chosen), 20))]
    with Pool(2) as pool:
        made = [clip for part in pool.imap(change, jobs) for clip in part]
    np.savez(
        os.path.join(work, "voices.npz"), paths=np.array([clips[i].path for i, _, _ in made]), kinds=np.array([k for _, k, _ in made]),
        lengths=np.array([len(x) for _, _, x in made]), samples=np.concatenate([x for _, _, x in made]),
    )
    counts = {k: sum(kind == k for _, kind, _ in made) for k in sorted({k for _, k, _ in made})}
    print(f"changed voices: {counts}, {sum(len(x) for _, _, x in made) / SAMPLE_RATE / 60:.0f} minutes", flush=True)


if __name__ == "__main__":
    main()
