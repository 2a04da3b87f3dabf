"""Calculates bangs (shots, explosions, fireworks) and what is taken for them (doors, blows, footsteps, claps).

A blast begins with the wave of Friedlander, p(t) = (1 - t/T) exp(-t/T), whose positive phase T grows from a fraction of
a millisecond for a shot to tens of milliseconds for an explosion (Kinney & Graham, Explosive Shocks in Air, 1985). Then
come its reflections by the ground and by facades, and noise that decays and grows duller, because the air absorbs high
frequencies on longer ways. Doors and blows are sums of modes: sines that decay. The mixer adds distance, rooms and
microphones, as for recordings.
"""
import numpy as np
from scipy.signal import butter, lfilter

from corpus import LABELS, SAMPLE_RATE, Clip
from synthesis import add, clips_of, fading_noise, indoors, low_pass, modes, struck, times


def blast(seconds: float, rng) -> np.ndarray:
    """The wave of Friedlander with a positive phase of `seconds`, and the turbulence of its gas."""
    t = np.arange(int(max(8 * seconds, 0.01) * SAMPLE_RATE)) / SAMPLE_RATE
    wave = (1 - t / seconds) * np.exp(-t / seconds)
    return wave + rng.uniform(0.05, 0.5) * rng.standard_normal(len(t)) * np.exp(-t / (2 * seconds + 0.002))


def outdoors(sources: list[tuple[float, np.ndarray, float]], tail: float, rng) -> np.ndarray:
    """Waves at their times and levels, as heard outdoors: ground, facades, and a tail of `tail` seconds."""
    n = int((max(at + len(wave) / SAMPLE_RATE for at, wave, _ in sources) + tail + 0.3) * SAMPLE_RATE)
    x = np.zeros(min(n, 6 * SAMPLE_RATE))
    ground, ground_gain = rng.uniform(0.0005, 0.012), rng.uniform(-0.6, 0.8)
    facades = [(rng.uniform(0.02, 0.7), rng.uniform(0.03, 0.5), rng.uniform(800, 6000), rng.uniform(0.0005, 0.02)) for _ in range(rng.integers(0, 9))]
    direct = rng.uniform(1500, 20000)  # Hz; a distant bang is dull
    diffuse, bright, dull = 10 ** (rng.uniform(-32, -8) / 20), rng.uniform(1500, 7000), rng.uniform(150, 1000)
    for at, wave, gain in sources:
        wave = low_pass(wave, direct)
        add(x, at, wave, gain)
        add(x, at + ground, low_pass(wave, 4000), gain * ground_gain)
        for delay, share, limit, width in facades:
            scatter = rng.standard_normal(int(width * SAMPLE_RATE) + 1)
            echo = np.convolve(low_pass(wave, limit), scatter / np.sqrt((scatter**2).sum()))
            add(x, at + delay, echo, gain * share * rng.choice([-1, 1]) * 0.05 / (0.05 + delay))
        noise = fading_noise(tail * rng.uniform(0.8, 1.2), bright, dull, rng)
        add(x, at + rng.uniform(0, 0.02), noise, gain * diffuse * np.abs(wave).max())
    return x


def shot(rng) -> np.ndarray:
    phase, crack = 10 ** rng.uniform(-3.5, -2.4), rng.random() < 0.3
    if rng.random() < 0.15:  # automatic fire, 500 to 1,100 rounds a minute
        at = np.arange(rng.integers(3, 14)) * 60 / rng.uniform(500, 1100)
        at = at + rng.normal(0, 0.002, len(at)).clip(-0.005, 0.005) + 0.01
    else:
        at = times(rng, 6, 0.12, 1.1)
    ahead = rng.uniform(0.01, 0.2)  # of a bullet faster than sound: its N-wave arrives first
    sources = []
    for begin in at:
        sources.append((begin + ahead * crack, blast(phase * rng.uniform(0.9, 1.1), rng), rng.uniform(0.7, 1)))
        if crack:
            sources.append((begin, np.linspace(1, -1, rng.integers(3, 9)), rng.uniform(0.3, 1.2)))
    return outdoors(sources, 10 ** rng.uniform(-0.5, 0.4), rng)


def explosion(rng) -> np.ndarray:
    phase = 10 ** rng.uniform(-2.3, -1.2)
    sources = [(at, blast(phase * rng.uniform(0.8, 1.25), rng), rng.uniform(0.5, 1)) for at in times(rng, 3, 0.3, 1.5)]
    x = outdoors(sources, rng.uniform(0.6, 3.5), rng)
    rumble = fading_noise(rng.uniform(0.6, 4), rng.uniform(300, 5000), rng.uniform(60, 250), rng)
    rise = int(rng.uniform(0.002, 0.06) * SAMPLE_RATE)
    rumble[:rise] *= np.linspace(0, 1, rise)
    add(x, rng.uniform(0, 0.03), rumble, 10 ** (rng.uniform(-24, -6) / 20) * np.abs(x).max())
    if rng.random() < 0.3:  # debris
        for at in rng.uniform(0.2, 2.5, rng.integers(3, 30)):
            add(x, at, modes(rng, rng.uniform(300, 3000), 4, 0.04), 10 ** (rng.uniform(-40, -24) / 20) * np.abs(x).max())
    return np.tanh(rng.uniform(0.5, 5) * x / np.abs(x).max())  # few recorders are not overloaded by it


def firework(rng) -> np.ndarray:
    style = rng.random()
    if style < 0.35:  # a string of firecrackers
        at = np.cumsum(rng.gamma(1.5, rng.uniform(0.012, 0.06), rng.integers(6, 60)))
        phase = 10 ** rng.uniform(-3.7, -3)
        crackers = [(begin, blast(phase * rng.uniform(0.6, 1.6), rng), 10 ** (rng.uniform(-16, 0) / 20)) for begin in at[at < 4]]
        return outdoors(crackers, rng.uniform(0.15, 1), rng)
    sources = [(at, blast(10 ** rng.uniform(-3.1, -2), rng), rng.uniform(0.4, 1)) for at in times(rng, 5, 0.15, 1.3)]
    x = outdoors(sources, rng.uniform(0.4, 2.2), rng)
    if style < 0.6:  # a shell that crackles after its burst
        for at in rng.uniform(0.15, 1.8, rng.integers(20, 150)):
            add(x, at, blast(2e-4, rng), 10 ** (rng.uniform(-36, -16) / 20) * np.abs(x).max())
    elif style < 0.8:  # a rocket that whistles before it
        t = np.arange(int(rng.uniform(0.3, 1.2) * SAMPLE_RATE)) / SAMPLE_RATE
        pitch = rng.uniform(900, 2500) * np.exp(rng.uniform(-0.6, 0.6) * t)
        whistle = np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) + rng.uniform(0.1, 2) * rng.standard_normal(len(t))
        whistle *= np.minimum(1, t / 0.1) * 10 ** (rng.uniform(-46, -26) / 20)
        x = np.concatenate([whistle * np.abs(x).max(), x])
    return x


def door(rng) -> np.ndarray:
    x = np.zeros(int(rng.uniform(0.8, 2.5) * SAMPLE_RATE))
    at = rng.uniform(0.1, 0.4)
    for again in times(rng, 2, 0.3, 1.0):
        add(x, at + again, struck(rng, rng.uniform(60, 350), rng.integers(6, 30), 10 ** rng.uniform(-1.8, -0.8), rng.uniform(600, 4000)))
        if rng.random() < 0.6:  # a leaf that is slammed pushes air
            add(x, at + again, blast(10 ** rng.uniform(-2.4, -1.5), rng), rng.uniform(0.1, 1.2))
        for _ in range(rng.integers(0, 4)):  # latch and handle
            click = struck(rng, rng.uniform(1200, 4500), 5, rng.uniform(0.003, 0.03), 7000)
            add(x, max(0, at + again + rng.uniform(-0.09, 0.12)), click, 10 ** (rng.uniform(-28, -4) / 20))
        if rng.random() < 0.4:  # what rattles afterwards
            for delay in np.cumsum(rng.uniform(0.015, 0.08, rng.integers(2, 9))):
                add(x, at + again + delay, struck(rng, rng.uniform(400, 3000), 5, 0.015, 6000), 10 ** (rng.uniform(-30, -10) / 20))
    if rng.random() < 0.25:  # a creak before it
        t = np.arange(int(0.9 * at * SAMPLE_RATE)) / SAMPLE_RATE
        creak = np.sin(2 * np.pi * rng.uniform(300, 1200) * t) * (np.sin(2 * np.pi * rng.uniform(20, 90) * t) > 0.6)
        add(x, 0, creak, 10 ** (rng.uniform(-30, -14) / 20))
    return indoors(x, rng)


def blow(rng) -> np.ndarray:
    """A hammer, a box that is dropped, a bin lid, a plate under a wheel: wood or metal, once, regularly or bouncing."""
    metal = rng.random() < 0.45
    centre = 10 ** (rng.uniform(2.5, 3.5) if metal else rng.uniform(2.0, 3.1))
    decay = 10 ** (rng.uniform(-1.5, -0.2) if metal else rng.uniform(-2.2, -1.2))
    hardness = rng.uniform(2500, 7600) if metal else rng.uniform(800, 6000)
    style = rng.random()
    if style < 0.4:
        at, gain = times(rng, 3, 0.2, 1.5), None
    elif style < 0.7:
        count = int(rng.integers(3, 12))
        at, gain = np.arange(count) * rng.uniform(0.12, 0.8) + rng.normal(0, 0.015, count).clip(-0.05, 0.05) + 0.05, None
    else:  # each bounce is sooner and weaker
        keep = rng.uniform(0.5, 0.85)
        at = np.cumsum(np.append(0, rng.uniform(0.1, 0.5) * keep ** np.arange(rng.integers(3, 12))))
        gain = keep ** np.arange(len(at))
    x = np.zeros(int((at[-1] + 7 * min(decay, 0.35) + 0.2) * SAMPLE_RATE))
    fixed = rng.integers(1 << 30) if rng.random() < 0.7 else None  # the same body each time
    for i, begin in enumerate(at):
        body = rng if fixed is None else np.random.default_rng(fixed)
        add(x, begin, struck(body, centre, int(body.integers(4, 24)), decay, hardness), rng.uniform(0.5, 1) if gain is None else gain[i])
    return indoors(x, rng)


def footsteps(rng) -> np.ndarray:
    at = np.arange(rng.integers(3, 9)) * rng.uniform(0.27, 0.7) + 0.05
    x = np.zeros(int((at[-1] + 0.6) * SAMPLE_RATE))
    heel, sole, hard = rng.uniform(70, 320), rng.uniform(0.02, 0.6), rng.uniform(700, 5000)
    for begin in at + rng.normal(0, 0.01, len(at)).clip(-0.04, 0.04):
        add(x, begin, struck(rng, heel, 8, rng.uniform(0.008, 0.04), hard), rng.uniform(0.6, 1))
        scrape = rng.standard_normal(int(rng.uniform(0.03, 0.12) * SAMPLE_RATE))
        scrape = low_pass(scrape * np.hanning(len(scrape)), hard * 1.3)
        add(x, begin + rng.uniform(0.02, 0.1), scrape / (np.abs(scrape).max() + 1e-9), sole * rng.uniform(0.3, 1))
    return indoors(x, rng)


def clap(rng) -> np.ndarray:
    at = times(rng, 9, 0.15, 0.5)
    x = np.zeros(int((at[-1] + 0.3) * SAMPLE_RATE))
    centre, width = rng.uniform(700, 2600), rng.uniform(0.4, 1.2)
    band = butter(1, [centre * 2**-width, min(centre * 2**width, 7600)], "band", fs=SAMPLE_RATE)
    for begin in at:
        n = int(rng.uniform(0.004, 0.03) * SAMPLE_RATE)
        hands = lfilter(*band, np.append(rng.standard_normal(n) * np.exp(-5 * np.arange(n) / n), np.zeros(200)))
        add(x, begin, hands / np.abs(hands).max(), rng.uniform(0.6, 1))
    return indoors(x, rng)


def bang_clips(count: int, seed: int, classes: int) -> list[Clip]:
    """`count` bangs and as many other sounds."""
    bangs = clips_of({shot: 5, explosion: 3, firework: 3}, "bang_calculated", LABELS.index("bang"), count, 2 * seed, classes)
    return bangs + clips_of({door: 4, blow: 5, footsteps: 2, clap: 1}, "blow_calculated", None, count, 2 * seed + 1, classes)
