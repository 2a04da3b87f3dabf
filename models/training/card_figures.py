"""Prints the model card's figures as Markdown tables: card_figures.py SCENES_DIR EVENTS.ndjson [EVENTS2.ndjson ...].

Events are matched as in the scenes' scorer. An event matches a reference if its label is right and its onset lies
within 1 s of the reference onset or inside the reference event. The most confident event takes a reference first.

The 95 % intervals resample whole scenes with replacement (percentile bootstrap, Efron 1979), because the sounds of one
scene share a bed. The intervals by recording resample the recordings of each label with all their references, because
one recording is in many scenes. For false alarms they resample scenes.
"""
import json
import os
import sys
from collections import Counter

import numpy as np

from corpus import LABELS

COLLAR, RESAMPLES = 1.0, 2000


def matches(onset, reference):
    return abs(onset - reference["onset"]) <= COLLAR or reference["onset"] <= onset <= reference["offset"]


def score_scene(scene, events):
    """For one scene: hits, false alarms and references by label [3, 3]; [hits, references] by (label, snr) and by
    (label, recording); causes of false alarms.
    """
    counts, by_snr, by_clip, causes = np.zeros((3, 3)), {}, {}, Counter()
    references = [e for e in scene["events"] if e.get("label")]
    taken = set()
    for event in sorted(events, key=lambda e: -e["confidence"]):
        row = LABELS.index(event["label"])
        near = [i for i, r in enumerate(references) if r["label"] == event["label"] and matches(event["onsetSeconds"], r)]
        free = [i for i in near if i not in taken]
        if free:
            taken.add(min(free, key=lambda i: abs(event["onsetSeconds"] - references[i]["onset"])))
            counts[row, 0] += 1
        elif not near:
            counts[row, 1] += 1
            heard = [e for e in scene["events"] if e["onset"] - COLLAR <= event["onsetSeconds"] <= e["offset"] + 0.5]
            causes[f"{event['label']} on {heard[0]['kind'] if heard else 'background'}"] += 1
    for i, reference in enumerate(references):
        counts[LABELS.index(reference["label"]), 2] += 1
        recording = (reference["source"], reference["clip"]) if "clip" in reference else (scene["file"], i)
        for cells, key in ((by_snr, int(reference["snr"])), (by_clip, recording)):
            cell = cells.setdefault((reference["label"], key), np.zeros(2))
            cell += [i in taken, 1]
    return counts, by_snr, by_clip, causes


def draw_recordings(parts, sums, random):
    """Results of `score_scene`, counts of each draw of scenes [draws, 3, 3] -> the counts with hits and references of
    drawn recordings instead; number of recordings of each label [3].
    """
    sums, recordings = sums.copy(), []
    for row, label in enumerate(LABELS):
        clips = {}
        for _, _, by_clip, _ in parts:
            for key in (k for k in by_clip if k[0] == label):
                clips[key] = clips.get(key, 0) + by_clip[key]
        recordings.append(len(clips))
        if clips:
            sums[:, row, [0, 2]] = np.stack(list(clips.values()))[random.integers(len(clips), size=(len(sums), len(clips)))].sum(1)
    return sums, recordings


def f1(counts):
    """Counts [3 labels, (hits, false alarms, references)] -> F1 of each label [3]: 2 TP / (2 TP + FP + FN)."""
    hits, wrong, wanted = counts.T
    return 2 * hits / np.maximum(1, hits + wrong + wanted)


def report(scenes, events_path):
    found = {s["file"]: [] for s in scenes}
    with open(events_path) as lines:
        for event in map(json.loads, filter(str.strip, lines)):
            found[os.path.basename(event["file"])].append(event)
    parts = [score_scene(s, found[s["file"]]) for s in scenes]
    per_scene = np.stack([p[0] for p in parts])
    hours = np.array([s["seconds"] / 3600 for s in scenes])
    quiet = np.array([not any(e.get("label") for e in s["events"]) for s in scenes])
    random = np.random.default_rng(0)
    draws = random.integers(len(scenes), size=(RESAMPLES, len(scenes)))
    sums = per_scene[draws].sum(1)
    boot = np.stack([f1(c) for c in sums])
    sums, recordings = draw_recordings(parts, sums, random)
    by_recording = np.stack([f1(c) for c in sums])
    interval = lambda x: "{:.2f} to {:.2f}".format(*np.percentile(x, [2.5, 97.5]))
    total = per_scene.sum(0)
    print(f"\n### {os.path.basename(events_path)}\n\n| label | references (recordings) | recall | precision | F1 | 95 % interval of F1 | by recording |\n| --- | --- | --- | --- | --- | --- | --- |")
    for i, label in enumerate(LABELS):
        hits, wrong, wanted = total[i]
        print(f"| {label} | {wanted:.0f} ({recordings[i]}) | {hits / max(1, wanted):.2f} | {hits / max(1, hits + wrong):.2f} | {f1(total)[i]:.2f} | {interval(boot[:, i])} | {interval(by_recording[:, i])} |")
    print(f"| macro | {total[:, 2].sum():.0f} | | | {f1(total).mean():.2f} | {interval(boot.mean(1))} | {interval(by_recording.mean(1))} |")
    falses = per_scene[:, :, 1].sum(1)
    without = ""
    if quiet.any():
        rates = [falses[d][quiet[d]].sum() / max(1e-9, hours[d][quiet[d]].sum()) for d in draws]
        without = f"; {falses[quiet].sum() / hours[quiet].sum():.1f} an hour ({interval(rates)}) in the {hours[quiet].sum():.2f} h without a target"
    print(f"\nFalse alarms: {falses.sum() / hours.sum():.1f} an hour over all scenes{without}.")
    levels = sorted({snr for p in parts for _, snr in p[1]})
    print("\n| recall (hits of references) | " + " | ".join(f"{s} dB" for s in levels) + " |\n| --- |" + " --- |" * len(levels))
    for label in LABELS:
        cells = [sum((p[1].get((label, s), np.zeros(2)) for p in parts), np.zeros(2)) for s in levels]
        print(f"| {label} | " + " | ".join(f"{a / max(1, b):.2f} ({a:.0f} of {b:.0f})" for a, b in cells) + " |")
    hours_all = hours.sum()
    print("\nFalse alarms an hour by label: " + ", ".join(f"{label} {total[i, 1] / hours_all:.1f}" for i, label in enumerate(LABELS)) + ".")
    causes = sum((p[3] for p in parts), Counter())
    print("\nFalse alarms by what was heard: " + (", ".join(f"{k} {v}" for k, v in causes.most_common()) or "none") + ".")


if __name__ == "__main__":
    with open(os.path.join(sys.argv[1], "scenes.json")) as f:
        all_scenes = json.load(f)
    for path in sys.argv[2:]:
        report(all_scenes, path)
