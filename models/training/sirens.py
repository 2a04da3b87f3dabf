"""Synthesises sirens and alarms: after crying, the sounds most often taken for shouts, with few recordings.

The sounds are two-tone sirens, wails and yelps with the usual frequencies of European and American vehicles, and the
beeps of smoke alarms and reversing vehicles. The mixer adds distance, rooms and microphones, as for recordings.
"""
import numpy as np
from scipy.signal import lfilter

from corpus import SAMPLE_RATE, Clip

SOURCES, CLIPS_EACH = 40, 4


def pitch_of(kind: str, seconds: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """Fundamental frequency in Hz and level from 0 to 1, at each sample."""
    on = np.ones(len(seconds))
    if kind == "two tones":
        low, each = rng.uniform(360, 700), rng.uniform(0.3, 1.0)
        return np.where((seconds / each).astype(int) % 2 == 0, low, low * rng.uniform(1.15, 1.5)), on
    if kind == "beeps":
        period, share = rng.uniform(0.2, 1.2), rng.uniform(0.3, 0.7)
        return np.full(len(seconds), rng.choice([rng.uniform(700, 1500), rng.uniform(2000, 3600)])), (seconds % period < share * period).astype(float)
    # a wail takes seconds to rise and fall, a yelp a fraction of a second
    period = rng.uniform(3, 8) if kind == "wail" else rng.uniform(0.2, 0.5)
    phase = (seconds / period + rng.random()) % 1
    rise = rng.uniform(0.3, 0.7)
    sweep = np.where(phase < rise, phase / rise, (1 - phase) / (1 - rise))
    low = rng.uniform(350, 750)
    return low * rng.uniform(1.8, 3.2) ** sweep, on


def siren(kind: str, rng) -> np.ndarray:
    """One clip, int16, 3 to 8 s: the harmonics of a horn up to 7 kHz, through one or two resonances."""
    seconds = np.arange(int(rng.uniform(3, 8) * SAMPLE_RATE)) / SAMPLE_RATE
    pitch, level = pitch_of(kind, seconds, rng)
    pitch = lfilter([0.01], [1, -0.99], pitch - pitch[0]) + pitch[0]  # no horn changes its tone instantly
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.002 * np.sin(2 * np.pi * rng.uniform(3, 8) * seconds))) / SAMPLE_RATE
    fall = rng.uniform(0.5, 2.0)
    odd_only = rng.random() < 0.3
    x = np.zeros(len(seconds))
    for n in range(1, 16, 2 if odd_only else 1):
        x += np.where(n * pitch < 7000, n**-fall, 0) * np.sin(n * phase + rng.uniform(0, 2 * np.pi))
    x = np.tanh(rng.uniform(0.3, 2) * x) * lfilter([0.005], [1, -0.995], level)
    for _ in range(rng.integers(1, 3)):
        centre, radius = rng.uniform(600, 3500), rng.uniform(0.8, 0.97)
        x = x + rng.uniform(0, 1) * lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * centre / SAMPLE_RATE), radius**2], x)
    x = x + rng.uniform(0, 0.03) * rng.standard_normal(len(x))
    return (x / np.abs(x).max() * 29000).astype("int16")


def siren_clips(classes: int) -> list[Clip]:
    """The same clips on every call. They have no tagger scores: these are NaN."""
    unknown = np.full((1, classes), np.nan, "float32")
    clips = []
    for source in range(SOURCES):
        rng = np.random.default_rng(source)
        kind = ("two tones", "wail", "yelp", "beeps")[source % 4]
        clips += [
            Clip(f"siren-{source}-{i}", "alarm" if kind == "beeps" else "siren", f"calculated/{source}", siren(kind, rng), unknown, None)
            for i in range(CLIPS_EACH)
        ]
    return clips
