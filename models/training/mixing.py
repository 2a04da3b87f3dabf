"""Street scenes of four seconds, mixed on the fly: a bed, confusers, targets, a distance, a microphone.

Every class passes through the same distances, equalisers, band limits and quantisers, so that a model cannot tell a
clip by where it was published.
"""
import numpy as np
from scipy.signal import fftconvolve

from corpus import BEDS, ENVELOPE, SAMPLE_RATE, Clip, activity
from network import DELAY, STRIDE

SECONDS = 4
LENGTH = SECONDS * SAMPLE_RATE
FRAMES = LENGTH // STRIDE
CONFUSING = {
    "crying": 3.0, "laughter": 2.0, "door": 2.5, "impact_other": 2.5, "tools": 1.5, "music": 1.5, "speech": 1.5, "other": 1.5,
    "crowd": 1.3, "dog": 1.3, "footsteps": 1.5, "siren": 2.5, "weather": 1.5, "clap": 1.3,
}
BED_WEIGHTS = {"ambience": 3.0, "weather": 2.0}
TARGET_WEIGHTS = {"effort": 0.6}  # kinds of one label; 1 unless named


def loudest_third(x: np.ndarray) -> float:
    """Root mean square of the loudest third of the 20 ms steps: the level of a sound, whatever silence surrounds it."""
    n = len(x) // ENVELOPE
    if n < 3:
        return float(np.sqrt((x**2).mean() + 1e-9))
    e = np.sort((x[: n * ENVELOPE].reshape(n, ENVELOPE) ** 2).mean(1))
    return float(np.sqrt(e[-max(1, n // 3) :].mean()) + 1e-6)


class Mixer:
    """Draws examples: waveform float32 [64000], targets int8 [3, 100] (-1 is ignored), auxiliary float32 [classes, 100]."""

    def __init__(self, clips: list[Clip], seed: int):
        self.rng = np.random.default_rng(seed)
        self.kinds = sorted({c.kind for c in clips if c.label is None})
        self.targets = [by_group([c for c in clips if c.label == i]) for i in range(3)]
        self.kinds_of = [sorted({c.kind for c in clips if c.label == i}) for i in range(3)]
        self.by_kind = [{k: by_group([c for c in clips if c.kind == k]) for k in kinds} for kinds in self.kinds_of]
        self.negatives = {k: by_group([c for c in clips if c.kind == k]) for k in self.kinds}
        weights = np.array([CONFUSING.get(k, 1.0) for k in self.kinds])
        self.kind_weights = weights / weights.sum()
        self.beds = [c for c in clips if c.label is None and c.kind in BEDS and len(c.samples) > 3 * SAMPLE_RATE]
        bed_weight = np.array([BED_WEIGHTS.get(c.kind, 1.0) for c in self.beds])
        self.bed_weights = bed_weight / bed_weight.sum()
        self.act = {c.path: activity(c) for c in clips if c.label is not None}
        self.classes = clips[0].teacher.shape[1]
        weights = [np.array([TARGET_WEIGHTS.get(k, 1.0) for k in kinds]) for kinds in self.kinds_of]
        self.kind_shares = [w / w.sum() for w in weights]
        self.rooms = [self.room() for _ in range(80)] + [self.street() for _ in range(40)]

    def room(self) -> np.ndarray:
        """A synthetic impulse response: exponentially decaying noise 60 dB down after T60, below a direct sound of 1."""
        t60, direct_to_reverberant = self.rng.uniform(0.15, 1.2), self.rng.uniform(0, 14)
        n = int(t60 * SAMPLE_RATE)
        ir = self.rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
        ir *= 10 ** (-direct_to_reverberant / 20) / np.sqrt((ir**2).sum())
        ir[0] = 1
        return ir.astype("float32")

    def street(self) -> np.ndarray:
        """A synthetic impulse response between facades: a few single echoes over a weak diffuse tail, direct sound of 1."""
        rng = self.rng
        n = int(rng.uniform(0.4, 1.6) * SAMPLE_RATE)
        ir = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
        ir *= 10 ** (-rng.uniform(8, 22) / 20) / np.sqrt((ir**2).sum())
        for delay_seconds in rng.uniform(0.004, 0.25, rng.integers(2, 9)):
            at = int(delay_seconds * SAMPLE_RATE)
            if at < n:
                # spherical spreading from a direct path of some 10 m (0.03 s), and what the wall swallows
                ir[at] += rng.choice([-1, 1]) * rng.uniform(0.3, 0.9) * 0.03 / (0.03 + delay_seconds)
        ir[0] = 1
        return ir.astype("float32")

    def draw(self, groups: list[list[Clip]]) -> Clip:
        group = groups[self.rng.integers(len(groups))]
        return group[self.rng.integers(len(group))]

    def travel(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """The sound as it arrives: speed (returned, as the factor by which time shrinks), band, room, distance."""
        rng, speed = self.rng, 1.0
        if rng.random() < 0.5:
            speed = rng.uniform(0.85, 1.18)
            n = int(len(x) / speed)
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
                knots = np.interp(f, np.geomspace(60, 8000, 6), rng.uniform(-6, 6, 6))
                gain *= 10 ** (knots / 20)
            x = np.fft.irfft(np.fft.rfft(x, n) * gain, n)[: len(x)].astype("float32")
        if rng.random() < 0.5:
            x = fftconvolve(x, self.rooms[rng.integers(len(self.rooms))])[: len(x) + 4000].astype("float32")
        if rng.random() < 0.15:
            step = 2.0 ** -rng.integers(6, 10)
            x = (np.round(x / step) * step).astype("float32")
        return x, speed

    def confuser(self) -> Clip:
        kind = self.kinds[self.rng.choice(len(self.kinds), p=self.kind_weights)]
        return self.draw(self.negatives[kind])

    def place(self, mix, clip: Clip, aux, low: float, high: float, from_start: bool):
        """Adds a clip at a random place; level in dB over the bed's.

        Returns (samples, offset in the mix, first sample of the stretch, speed).
        """
        rng = self.rng
        x = clip.samples.astype("float32") / 32768
        cut = 0
        if len(x) > LENGTH:  # a random stretch, kept near an active part for targets
            if clip.label is None:
                cut = int(rng.integers(len(x) - LENGTH))
            else:
                steps = np.where(self.act[clip.path] == 1)[0]
                start = int(rng.choice(steps)) * ENVELOPE if len(steps) else 0
                cut = int(np.clip(start - rng.integers(LENGTH), 0, len(x) - LENGTH))
            x = x[cut : cut + LENGTH]
        x, speed = self.travel(x)
        x = x * (10 ** (rng.uniform(low, high) / 20) / loudest_third(x))
        earliest = -len(x) // 3 if not from_start or len(x) > 2 * SAMPLE_RATE else -800
        at = int(rng.integers(earliest, LENGTH - min(len(x), SAMPLE_RATE // 2)))
        a, e = max(0, at), max(0, min(LENGTH, at + len(x)))
        if e > a:
            mix[a:e] += x[a - at : e - at]
            self.tell(aux, clip, cut, at, a, e, speed)
        return x, at, cut, speed

    def tell(self, aux, clip, cut, at, a, e, speed):
        """Writes what the teacher heard in this stretch of the clip, and the clip's kind, to the auxiliary targets."""
        first, last = a // STRIDE, min(FRAMES, e // STRIDE + 1)
        seconds = (np.arange(first, last) * STRIDE - at) * speed / SAMPLE_RATE + cut / SAMPLE_RATE
        window = np.clip(np.round(seconds - 1).astype(int), 0, len(clip.teacher) - 1)
        region = aux[: self.classes, first:last]
        np.maximum(region, clip.teacher[window].T, out=region)
        if clip.label is None:
            aux[self.classes + self.kinds.index(clip.kind), first:last] = 1

    def bed(self, aux) -> np.ndarray:
        clip = self.beds[self.rng.choice(len(self.beds), p=self.bed_weights)]
        n = len(clip.samples)
        at = int(self.rng.integers(max(1, n - LENGTH)))
        x = clip.samples[at : at + LENGTH].astype("float32") / 32768
        self.tell(aux, clip, at, 0, 0, len(x), 1.0)
        if len(x) < LENGTH:
            x = np.tile(x, LENGTH // len(x) + 1)[:LENGTH]
        return x / (np.sqrt((x**2).mean()) + 1e-5)

    def example(self):
        rng = self.rng
        target = np.zeros((3, FRAMES), "int8")
        aux = np.zeros((self.classes + len(self.kinds), FRAMES), "float32")
        mix = self.bed(aux)
        if rng.random() < 0.35:
            mix = mix + self.bed(aux) * rng.uniform(0.2, 1)
        for _ in range(rng.choice([0, 1, 2, 3], p=[0.2, 0.4, 0.25, 0.15])):
            self.place(mix, self.confuser(), aux, -3, 28, False)
        for _ in range(rng.choice([0, 1, 2], p=[0.42, 0.46, 0.12])):
            label = int(rng.integers(3))
            kind = rng.choice(self.kinds_of[label], p=self.kind_shares[label])
            clip = self.draw(self.by_kind[label][kind])
            x, at, cut, speed = self.place(mix, clip, aux, -4, 28, True)
            self.mark(target[label], clip, x, at, cut, speed)
        return self.microphone(mix.astype("float32")), delay(target), aux

    def mark(self, row, clip, x, at, cut, speed):
        """Marks the frames of a placed target; what lies far under the bed (whose level is 1) is ignored, not demanded."""
        act = self.act[clip.path]
        first, last = max(0, at // STRIDE), min(FRAMES, (at + len(x)) // STRIDE + 1)
        for frame in range(first, last):
            a = frame * STRIDE - at
            step = int((a + STRIDE / 2) * speed + cut) // ENVELOPE
            piece = x[max(0, a) : max(0, a + STRIDE)]
            if step >= len(act) or step < 0 or len(piece) < 160:
                continue
            state = act[step]
            if state == 1 and np.sqrt((piece**2).mean()) < 0.25:
                state = -1
            if state == 1 or row[frame] == 0:
                row[frame] = state

    def microphone(self, x: np.ndarray) -> np.ndarray:
        """Gain from whisper to overload, wind, DC offset, clipping, 16-bit."""
        rng = self.rng
        if rng.random() < 0.12:
            wind = np.cumsum(rng.standard_normal(LENGTH).astype("float32"))
            wind -= np.linspace(wind[0], wind[-1], LENGTH)
            gust = np.interp(np.arange(LENGTH), np.linspace(0, LENGTH, 9), rng.uniform(0, 1, 9))
            x = x + (wind / (wind.std() + 1e-6) * gust * rng.uniform(0.5, 6)).astype("float32")
        if rng.random() < 0.2:  # a narrow microphone or codec, the same for all there is to hear
            f = np.linspace(0, SAMPLE_RATE / 2, LENGTH // 2 + 1)
            x = np.fft.irfft(np.fft.rfft(x) / np.sqrt(1 + (f / rng.uniform(2800, 7600)) ** 16), LENGTH).astype("float32")
        peak_limited = 10 ** (rng.uniform(-3, 12) / 20) / (np.abs(x).max() + 1e-6)
        x = x * min(10 ** (rng.uniform(-72, -20) / 20), peak_limited)
        if rng.random() < 0.1:
            x = x + rng.uniform(-0.05, 0.05)
        return (np.round(np.clip(x, -1, 1) * 32767) / 32768).astype("float32")


def delay(target: np.ndarray) -> np.ndarray:
    """Shifts the targets by the network's output delay."""
    out = np.zeros_like(target)
    out[:, DELAY:] = target[:, :-DELAY]
    return out


def by_group(clips: list[Clip]) -> list[list[Clip]]:
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(clip.group, []).append(clip)
    return list(groups.values())
