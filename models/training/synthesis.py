"""What calculated sounds are made of: decaying noise, modes of struck bodies, rooms; and the clips made of them."""
from multiprocessing import Pool

import numpy as np
from scipy.signal import butter, lfilter

from corpus import SAMPLE_RATE, Clip


def low_pass(x: np.ndarray, hz: float) -> np.ndarray:
    """First order, as air and distance do."""
    return lfilter(*butter(1, min(hz, 7600), fs=SAMPLE_RATE), x) if hz < 7600 else x


def fading_noise(seconds: float, bright: float, dull: float, rng) -> np.ndarray:
    """Noise that decays by 60 dB in `seconds`, while its upper limit falls from `bright` to `dull` Hz."""
    n = int(seconds * SAMPLE_RATE)
    noise, t = rng.standard_normal(n), np.arange(n) / n
    bands = [low_pass(noise, hz) for hz in np.geomspace(bright, dull, 5)]
    bands = [b / (b.std() + 1e-9) for b in bands]
    at = np.clip(t * rng.uniform(4, 16), 0, 4)
    x = sum(b * np.clip(1 - np.abs(at - i), 0, 1) for i, b in enumerate(bands))
    return x * np.exp(-6.9 * t)


def add(x: np.ndarray, at: float, part: np.ndarray, gain: float = 1.0) -> None:
    """Adds `part` at a time in seconds, as far as it fits."""
    i = int(at * SAMPLE_RATE)
    part = part[: max(0, len(x) - i)]
    x[i : i + len(part)] += gain * part


def times(rng, most: int, low: float, high: float) -> np.ndarray:
    """When each of 1 to `most` sounds begins; one is as likely as several."""
    count = 1 if rng.random() < 0.5 else int(rng.integers(2, most + 1))
    return np.cumsum(np.append(0, rng.uniform(low, high, count - 1)))


def decaying(n: int, frequency: np.ndarray, decay: np.ndarray, level: np.ndarray, rng) -> np.ndarray:
    """The sum of sines at random phases: [n]. Each has a frequency in Hz, a level, and seconds in which it decays by 1/e."""
    t = np.arange(n) / SAMPLE_RATE
    return level @ (np.sin(2 * np.pi * frequency[:, None] * t + rng.uniform(0, 6.28, (len(frequency), 1))) * np.exp(-t / decay[:, None]))


def modes(rng, centre: float, count: int, decay: float) -> np.ndarray:
    """Sines around `centre` Hz that decay by 1/e in about `decay` seconds, the high ones sooner."""
    frequency = np.clip(centre * 2 ** rng.uniform(-1, 1.5, count), 30, 7500)
    each = decay * rng.uniform(0.4, 1.4, count) * (centre / frequency) ** rng.uniform(0.2, 1)
    level = rng.uniform(0.1, 1, count) * (centre / frequency) ** rng.uniform(0, 1)
    return decaying(int(min(7 * decay, 2.5) * SAMPLE_RATE) + 1, frequency, each, level, rng)


def struck(rng, centre: float, count: int, decay: float, hardness: float) -> np.ndarray:
    """Modes and the noise of the contact, which is short and bright where both bodies are hard (`hardness` in Hz)."""
    x = modes(rng, centre, count, decay)
    x = x / np.abs(x).max()
    contact = rng.standard_normal(int(10 ** rng.uniform(-2.7, -1.2) * SAMPLE_RATE))
    contact = low_pass(contact * np.linspace(1, 0, len(contact)) ** 3, hardness)
    add(x, 0, contact / (np.abs(contact).max() + 1e-9), rng.uniform(0.2, 2))
    return low_pass(x, hardness)


def indoors(x: np.ndarray, rng) -> np.ndarray:
    """The same in a room or a stairwell: decaying noise after each sound, and sometimes none."""
    if rng.random() < 0.25:
        return x
    tail = fading_noise(rng.uniform(0.2, 1.5), rng.uniform(1500, 6000), rng.uniform(200, 1500), rng)
    tail *= 10 ** (rng.uniform(-16, 2) / 20) / np.sqrt((tail**2).sum())
    return np.append(x, np.zeros(len(tail) // 2)) + np.convolve(x, tail)[: len(x) + len(tail) // 2]


def clip(x: np.ndarray, rng) -> np.ndarray:
    """One clip, int16, of at most 6 s, with the hiss of a recorder, sometimes overloaded."""
    x = x[: 6 * SAMPLE_RATE] / (np.abs(x).max() + 1e-9)
    if rng.random() < 0.3:
        x = np.tanh(rng.uniform(1, 6) * x)
    x = x + 10 ** (rng.uniform(-80, -50) / 20) * rng.standard_normal(len(x))
    return (x / np.abs(x).max() * 29000).astype("int16")


def make(job) -> np.ndarray:
    sound, seed = job
    rng = np.random.default_rng(seed)
    return clip(sound(rng), rng)


def clips_of(sounds: dict, kind: str, label: int | None, count: int, seed: int, classes: int) -> list[Clip]:
    """`count` clips, the same for the same seed. `sounds` says how often each function of a random generator is drawn.

    They have no tagger scores: these are NaN.
    """
    rng = np.random.default_rng(seed)
    functions, chances = list(sounds), np.array(list(sounds.values())) / sum(sounds.values())
    jobs = [(functions[i], int(rng.integers(1 << 62))) for i in rng.choice(len(functions), count, p=chances)]
    with Pool(2) as pool:
        made = pool.map(make, jobs, chunksize=50)
    unknown = np.full((1, classes), np.nan, "float32")
    return [Clip(f"{kind}-{i}", kind, f"calculated/{sound.__name__}", x, unknown, label) for i, ((sound, _), x) in enumerate(zip(jobs, made))]
