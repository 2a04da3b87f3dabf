"""Calculates breaking glass, and what is taken for it: glass that stays whole, dishes, cutlery, keys, bells, cymbals.

Glass breaks with a blow, a crack, and pieces that ring while they part and again when they land. The smaller a piece, the
higher and the shorter it rings. What stays whole rings with the same modes each time. The mixer adds distance, rooms and
microphones, as for recordings.
"""
import numpy as np
from scipy.signal import butter, lfilter

from corpus import LABELS, SAMPLE_RATE, Clip
from synthesis import add, clips_of, decaying, fading_noise, indoors, low_pass, struck, times


def high_pass(x: np.ndarray, hz: float) -> np.ndarray:
    return lfilter(*butter(2, hz, "high", fs=SAMPLE_RATE), x)


def piece(size: float, ring: float, rng) -> np.ndarray:
    """A piece of glass of `size` (1 is some 3 cm), struck: a click and a few inharmonic modes of `ring` seconds."""
    low = 1800 / size
    count = int(rng.integers(2, 7))
    frequency = np.clip(low * 2 ** rng.uniform(0, 2.2, count), 500, 7700)
    decay = ring * rng.uniform(0.4, 1.3, count) * (low / frequency) ** 0.5
    x = decaying(int(6 * ring * SAMPLE_RATE) + 32, frequency, decay, rng.uniform(0.2, 1, count), rng)
    click = high_pass(rng.standard_normal(32) * np.linspace(1, 0, 32), 2500)
    add(x, 0, click, rng.uniform(0.1, 0.8))
    return x / (np.abs(x).max() + 1e-9)


def pieces(x: np.ndarray, at: np.ndarray, size: float, ring: float, fade: float, rng) -> None:
    """Adds pieces at these times; their levels are spread widely, and fall by 1/e in `fade` seconds."""
    for begin in at:
        each = size * 2 ** rng.uniform(-1.5, 1)
        add(x, begin, piece(each, ring * each**0.5, rng), 10 ** (rng.normal(-9, 6) / 20) * np.exp(-(begin - at.min()) / fade))


def crack(x: np.ndarray, at: float, rng) -> None:
    """The crack: noise of a few milliseconds, bright, often in two or three bursts."""
    for delay in np.append(0, rng.uniform(0.002, 0.05, rng.integers(0, 4))):
        n = int(rng.uniform(0.002, 0.03) * SAMPLE_RATE)
        burst = high_pass(rng.standard_normal(n) * np.exp(-4 * np.arange(n) / n), rng.uniform(300, 2500))
        add(x, at + delay, burst / (np.abs(burst).max() + 1e-9), rng.uniform(0.4, 2))


def pane(rng) -> np.ndarray:
    """A window: the blow, the crack, large pieces, and most of them landing within a second."""
    x = np.zeros(int(rng.uniform(1.5, 4) * SAMPLE_RATE))
    at = rng.uniform(0.02, 0.1)
    if rng.random() < 0.7:
        add(x, at, struck(rng, rng.uniform(80, 500), 8, rng.uniform(0.01, 0.06), rng.uniform(800, 4000)), rng.uniform(0.1, 1))
    crack(x, at, rng)
    size, ring, fade = rng.uniform(0.6, 2), 10 ** rng.uniform(-2.2, -1.4), rng.uniform(0.2, 1)
    pieces(x, at + rng.exponential(rng.uniform(0.02, 0.15), rng.integers(15, 120)), size, ring, fade, rng)
    landing = at + rng.uniform(0.1, 0.8)
    pieces(x, landing + rng.gamma(2, rng.uniform(0.03, 0.2), rng.integers(20, 200)), size * 0.7, ring, fade, rng)
    if rng.random() < 0.4:
        pieces(x, landing + rng.uniform(0.3, 2, rng.integers(2, 20)), size, ring, 2, rng)
    return indoors(x, rng)


def toughened(rng) -> np.ndarray:
    """A car window or a bus shelter: it crumbles at once, in small pieces that hardly ring."""
    x = np.zeros(int(rng.uniform(1, 3) * SAMPLE_RATE))
    at = rng.uniform(0.02, 0.1)
    add(x, at, struck(rng, rng.uniform(80, 400), 8, rng.uniform(0.01, 0.05), rng.uniform(800, 3000)), rng.uniform(0.2, 1.2))
    crack(x, at, rng)
    crumbling, landing = rng.exponential(rng.uniform(0.03, 0.12), rng.integers(80, 300)), rng.gamma(2, rng.uniform(0.04, 0.2), rng.integers(40, 200))
    pieces(x, at + crumbling, rng.uniform(0.25, 0.6), rng.uniform(0.003, 0.01), rng.uniform(0.1, 0.4), rng)
    pieces(x, at + rng.uniform(0.1, 0.6) + landing, rng.uniform(0.25, 0.5), 0.006, rng.uniform(0.3, 1), rng)
    return indoors(x, rng)


def vessel(rng) -> np.ndarray:
    """A bottle or a drinking glass that falls or is thrown: it may ring once before, then a few pieces."""
    x = np.zeros(int(rng.uniform(1, 2.5) * SAMPLE_RATE))
    at = rng.uniform(0.02, 0.1)
    if rng.random() < 0.4:
        ring = piece(rng.uniform(0.7, 2), rng.uniform(0.03, 0.15), rng)
        ring[int(rng.uniform(0.02, 0.08) * SAMPLE_RATE) :] = 0  # until it breaks
        add(x, max(0, at - 0.05), ring, rng.uniform(0.2, 0.8))
    crack(x, at, rng)
    size, ring = rng.uniform(0.4, 1.3), 10 ** rng.uniform(-2.3, -1.5)
    pieces(x, at + rng.exponential(rng.uniform(0.01, 0.08), rng.integers(12, 70)), size, ring, rng.uniform(0.1, 0.5), rng)
    pieces(x, at + rng.gamma(2, rng.uniform(0.05, 0.25), rng.integers(5, 40)), size, ring, rng.uniform(0.2, 0.8), rng)
    return indoors(x, rng)


def ringing(rng, low: float, high: float, short: float, long: float, most: int) -> np.ndarray:
    """A few bodies that are struck again and again, at random or regular times: each rings alike each time."""
    bodies = [piece(1800 / rng.uniform(low, high), 10 ** rng.uniform(np.log10(short), np.log10(long)), rng) for _ in range(rng.integers(1, 6))]
    count = int(rng.integers(1, most + 1))
    at = np.sort(rng.uniform(0, rng.uniform(0.2, 3), count)) if rng.random() < 0.7 else np.arange(count) * rng.uniform(0.05, 0.6)
    at = at[at < 5]
    x = np.zeros(int((at[-1] + 0.3 + 6 * long) * SAMPLE_RATE))
    dull = rng.uniform(2500, 8000)
    for begin in at + 0.02:
        add(x, begin, low_pass(bodies[rng.integers(len(bodies))], dull), 10 ** (rng.uniform(-18, 0) / 20))
        if rng.random() < 0.3:
            add(x, begin, struck(rng, rng.uniform(150, 900), 6, rng.uniform(0.005, 0.03), rng.uniform(1000, 6000)), rng.uniform(0.1, 1))
    return indoors(x, rng)


def clinking(rng) -> np.ndarray:
    return ringing(rng, 900, 4000, 0.03, 0.4, 8)


def dishes(rng) -> np.ndarray:
    return ringing(rng, 500, 3000, 0.008, 0.08, 40)


def cutlery(rng) -> np.ndarray:
    return ringing(rng, 1500, 5500, 0.02, 0.25, 30)


def keys(rng) -> np.ndarray:
    return ringing(rng, 2500, 6500, 0.005, 0.05, 90)


def sheet_metal(rng) -> np.ndarray:
    return ringing(rng, 250, 1500, 0.05, 0.5, 10)


def music(rng) -> np.ndarray:
    """Bells, plucked strings and cymbals that set in: a scale of notes over a beat."""
    beat, count = rng.uniform(0.1, 0.6), int(rng.integers(2, 10))
    x = np.zeros(int((count * beat + 1.5) * SAMPLE_RATE))
    root, decay, fall = rng.uniform(150, 1500), 10 ** rng.uniform(-1.2, 0), rng.uniform(0.3, 2.5)
    t = np.arange(int(min(5 * decay, 2) * SAMPLE_RATE)) / SAMPLE_RATE
    bell = rng.uniform(1, 1.08)  # how far the partials are stretched
    cymbal, hats = rng.random() < 0.6, rng.uniform(0.1, 1)
    for i in range(count):
        pitch = root * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
        partials = np.arange(1, 12) ** bell * pitch
        partials = partials[partials < 7600]
        level = np.arange(1, len(partials) + 1) ** -fall
        x_note = level @ (np.sin(2 * np.pi * partials[:, None] * t) * np.exp(-t * np.arange(1, len(partials) + 1)[:, None] ** 0.5 / decay))
        add(x, i * beat, x_note / (np.abs(x_note).max() + 1e-9), rng.uniform(0.4, 1))
        if cymbal and rng.random() < 0.6:
            noise = high_pass(fading_noise(rng.uniform(0.05, 1.5), 7500, rng.uniform(2500, 7000), rng), rng.uniform(1500, 5000))
            add(x, i * beat, noise / np.abs(noise).max(), hats)
    return indoors(x, rng)


def glass_clips(count: int, seed: int, classes: int) -> list[Clip]:
    """`count` breakages and as many other sounds."""
    broken = clips_of({pane: 4, toughened: 2, vessel: 3}, "glass_calculated", LABELS.index("glass_break"), count, 2 * seed, classes)
    whole = {clinking: 2, dishes: 4, cutlery: 2, keys: 2, sheet_metal: 2, music: 4}
    return broken + clips_of(whole, "clatter_calculated", None, count, 2 * seed + 1, classes)
