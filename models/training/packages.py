"""Recordings from Debian's own packages, mostly games: packages.py WORK_DIR. Writes WORK_DIR/packages.npz.

The shared recordings lack voices most: their shouts come from 29 groups of one collection. Games hold dozens of people
who act a shout, a scream or a fall, and calm speech in some thirty languages. Anybody can fetch these packages with
apt-get. packages.tsv says which file of which package is what. An acted voice is not always a shout: `is_loud_voice`
leaves out those that are short, unvoiced or without vocal effort.
"""
import os
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from multiprocessing import Pool

import numpy as np

from corpus import LABEL_OF, SAMPLE_RATE, Clip, decode

HERE = os.path.dirname(os.path.abspath(__file__))
SUITES = ("bookworm", "trixie")
SOUNDS = ("wav", "ogg", "oga", "flac", "mp3", "opus")
ARCHIVES = ("pk3", "zip", "wz")
CLIPS_PER_GROUP = {"speech": 12, "acted": 40}
ACTED = "acted"  # the kind of an acted shout
READERS = ("tuxpaint", "ktuberling", "qabcs", "asterisk", "kajongg", "fillets", "planetblupi")


def rules() -> list[tuple[str, re.Pattern, str]]:
    """The lines of packages.tsv as (package, path, kind)."""
    with open(os.path.join(HERE, "packages.tsv")) as f:
        rows = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]
    return [(package, re.compile(path), kind) for package, path, kind in rows]


def open_archive(place: str) -> list[str]:
    """Options for apt-get: Debian's archive, whatever the machine's own sources are, and lists in `place`."""
    for folder in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(place, folder), exist_ok=True)
    sources, keys = os.path.join(place, "sources.list"), "/usr/share/keyrings/debian-archive-keyring.gpg"
    mirror = os.environ.get("TOCSIN_DEBIAN_MIRROR", "http://deb.debian.org/debian")
    with open(sources, "w") as f:
        f.writelines(f"deb [signed-by={keys}] {mirror} {suite} main\n" for suite in SUITES)
    settings = {
        "Dir::Etc::SourceList": sources, "Dir::Etc::SourceParts": "/dev/null", "Dir::State::Lists": os.path.join(place, "lists"),
        "Dir::Cache": os.path.join(place, "cache"), "APT::Sandbox::User": "root",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    subprocess.run(["apt-get", "update", "-qq", *options], check=True)
    return options


def fetch(package: str, folder: str, options: list[str]) -> str:
    """Downloads a package from the first suite that has it, unpacks its sounds below `folder`, returns its version."""
    # unpack beside `folder` and rename once complete: a later run takes an existing folder as complete
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as place:
        for suite in SUITES:
            if subprocess.run(["apt-get", "download", "-qq", *options, f"{package}/{suite}"], cwd=place, capture_output=suite != SUITES[-1]).returncode == 0:
                break
        else:
            raise RuntimeError(f"Expected {package} in one of Debian's {', '.join(SUITES)}, got it from none: is the mirror reachable?")
        (deb,) = [os.path.join(place, name) for name in os.listdir(place)]
        unpacked = os.path.join(place, "unpacked")
        os.makedirs(unpacked)
        tar = os.path.join(place, "files.tar")
        with open(tar, "wb") as f:
            subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], stdout=f, check=True)
        names = subprocess.run(["tar", "-t", "--quoting-style=literal", "-f", tar], stdout=subprocess.PIPE, check=True).stdout.split(b"\n")
        ends = tuple(end.encode() for ext in SOUNDS + ARCHIVES for end in (f".{ext}", f".{ext.upper()}"))
        wanted = [name for name in names if name.endswith(ends)]
        if wanted:
            subprocess.run(["tar", "-x", "-f", tar, "--null", "-T", "-"], input=b"\0".join(wanted), cwd=unpacked, check=True)
        version = subprocess.run(["dpkg-deb", "-f", deb, "Version"], capture_output=True, text=True, check=True).stdout.strip()
        for path in files_below(unpacked):
            if path.lower().endswith(ARCHIVES) and not os.path.islink(path):
                with zipfile.ZipFile(path) as archive:
                    archive.extractall(path + ".d", [n for n in archive.namelist() if n.lower().endswith(SOUNDS)])
                os.remove(path)
        os.rename(unpacked, folder)
    return version


def files_below(folder: str) -> list[str]:
    return sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)


def chosen(package: str, folder: str, lines, rng) -> list[tuple[str, str, str]]:
    """The files of one package that the rules name, as (path, kind, group); at most CLIPS_PER_GROUP of each group."""
    groups: dict[tuple[str, str], list[str]] = {}
    for path in files_below(folder):
        if not path.lower().endswith(SOUNDS):
            continue
        name = os.path.relpath(path, folder).lower()
        for _, pattern, kind in lines:
            found = pattern.search(name)
            if found:
                if kind != "-":
                    groups.setdefault((kind, f"{package}/{'/'.join(g for g in found.groups() if g)}"), []).append(path)
                break
    out = []
    for (kind, group), paths in groups.items():
        most = CLIPS_PER_GROUP.get(kind, 16)
        out += [(paths[i], kind, group) for i in sorted(rng.permutation(len(paths))[:most])]
    return out


def vocal_effort(x: np.ndarray) -> tuple[float, float, float]:
    """(seconds voiced within 20 dB of the peak, median pitch in Hz, level of 1 to 5 kHz over 0.05 to 1 kHz in dB).

    The pitch is the highest peak of the autocorrelation of 40 ms windows, from 70 to 1000 Hz. A window counts as voiced
    where this peak reaches half of the power. The last value is the alpha ratio, which rises with vocal effort
    (Nordenberg & Sundberg, Logopedics Phoniatrics Vocology 29, 2004).
    """
    window, hop = 640, 320
    if len(x) < window:
        return 0.0, 0.0, -60.0
    frames = np.lib.stride_tricks.sliding_window_view(x.astype("float32"), window)[::hop] * np.hanning(window).astype("float32")
    power = (frames**2).sum(1)
    frames = frames[power > 0.01 * power.max()]
    spectrum = np.abs(np.fft.rfft(frames, 2048)) ** 2
    autocorrelation = np.fft.irfft(spectrum)
    autocorrelation /= autocorrelation[:, :1] + 1e-9
    # the window attenuates long lags: corrected by the autocorrelation of the window
    w = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(window), 2048)) ** 2)
    lags = np.arange(SAMPLE_RATE // 1000, SAMPLE_RATE // 70)
    r = autocorrelation[:, lags] / (w[lags] / w[0])
    best = r.argmax(1)
    voiced = r[np.arange(len(r)), best] > 0.5
    if not voiced.any():
        return 0.0, 0.0, -60.0
    f = np.fft.rfftfreq(2048, 1 / SAMPLE_RATE)
    mean = spectrum[voiced].mean(0)
    alpha = 10 * np.log10(mean[(f > 1000) & (f < 5000)].sum() / mean[(f > 50) & (f <= 1000)].sum())
    return float(voiced.sum() * hop / SAMPLE_RATE), float(np.median(SAMPLE_RATE / lags[best[voiced]])), float(alpha)


def is_loud_voice(x: np.ndarray) -> bool:
    """Whether a voice sounds raised.

    The boundary was fitted by logistic regression to the shared recordings, shouts and screams against speech. It
    separates 88 % of them.
    """
    seconds, pitch, alpha = vocal_effort(x)
    return seconds >= 0.25 and 1.26 * np.log2(max(pitch, 60) / 200) + 0.354 * alpha + 0.95 > 0


def usable(job: tuple[str, str, str]) -> np.ndarray:
    """The samples of a file. Empty where it cannot be read or is not what its name says."""
    path, kind, group = job
    try:
        x = decode(path)
    except Exception as error:
        print(f"left out, cannot be decoded: {os.path.basename(path)}: {error}", file=sys.stderr)
        return np.zeros(0, "int16")
    # readers of words for children or callers do not shout, however high their voices are
    acting = kind == "speech" and not group.startswith(READERS)
    if len(x) < SAMPLE_RATE // 10 or (kind == ACTED and not is_loud_voice(x)) or (acting and is_loud_voice(x)):
        return np.zeros(0, "int16")
    return x


def package_clips(work: str, classes: int) -> list[Clip]:
    """The clips of packages.npz. They have no tagger scores: these are NaN, which the loss leaves out."""
    with np.load(os.path.join(work, "packages.npz")) as saved:
        paths, kinds, groups, lengths, samples = (saved[k] for k in ("paths", "kinds", "groups", "lengths", "samples"))
    ends = np.cumsum(lengths)
    unknown = np.full((1, classes), np.nan, "float32")
    return [
        Clip(str(path), str(kind), str(group), samples[end - n : end], unknown, LABEL_OF.get(str(kind)))
        for path, kind, group, n, end in zip(paths, kinds, groups, lengths, ends)
    ]


def main():
    (work,) = sys.argv[1:]
    lines, jobs = rules(), []
    place, options = os.path.join(work, "packages"), None
    for package in dict.fromkeys(line[0] for line in lines):
        folder = os.path.join(place, package)
        if not os.path.exists(folder):
            options = options or open_archive(os.path.join(work, "apt"))
            print(package, fetch(package, folder, options), flush=True)
        # each package has its own seed: adding or removing one changes nothing for the others
        rng = np.random.default_rng(zlib.crc32(package.encode()))
        jobs += chosen(package, folder, [line for line in lines if line[0] == package], rng)
    with Pool(2) as pool:
        decoded = pool.map(usable, jobs, chunksize=16)
    kept = [(job, x) for job, x in zip(jobs, decoded) if len(x) > 0]
    np.savez(
        os.path.join(work, "packages.npz"), paths=np.array([os.path.relpath(path, place) for (path, _, _), _ in kept]), kinds=np.array([kind for (_, kind, _), _ in kept]),
        groups=np.array([group for (_, _, group), _ in kept]), lengths=np.array([len(x) for _, x in kept]), samples=np.concatenate([x for _, x in kept]),
    )
    for kind in sorted({kind for (_, kind, _), _ in kept}):
        of_kind = [(group, x) for (_, k, group), x in kept if k == kind]
        print(f"{kind}: {len(of_kind)} clips of {sum(k == kind for _, k, _ in jobs)}, {len({g for g, _ in of_kind})} groups, {sum(len(x) for _, x in of_kind) / SAMPLE_RATE / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
