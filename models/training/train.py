"""Trains one network: train.py AUDIO_DIR WORK_DIR NAME. Writes WORK_DIR/NAME.pt and prints its log. Run packages.py and
voices.py first.

With --start it trains on from other weights, without their auxiliary head. --learn then names the labels that recordings
teach; the others are left to the networks of --taught-by.
"""
import argparse
import copy
import math
import os
import time

import torch
import torch.nn.functional as F

from bangs import bang_clips
from corpus import LABELS, Clip, is_held_out, load
from glass import glass_clips
from mixing import Mixer
from network import Network
from packages import package_clips
from sirens import siren_clips
from voices import changed_voices

BATCH = 64
CARRIED = 0.7  # share of examples that begin with the memory left by another example
WARM_UP = 0.08  # share of the steps
EVERY = 200  # steps between two lines of the log


class Stream(torch.utils.data.IterableDataset):
    """An endless stream of mixed batches."""

    def __init__(self, clips, seed, device="cpu"):
        self.clips, self.seed, self.device = clips, seed, device

    def __iter__(self):
        mixer = Mixer(self.clips, self.seed, self.device)
        while True:
            yield mixer.batch(BATCH)


def focal(logits, target, known=1.0, positive_weight=1.0):
    """Cross-entropy [batch, classes, frames] -> scalar. A frame counts little where target and output differ little:
    confusers with high scores matter, long quiet stretches do not.
    """
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=torch.tensor(positive_weight, device=logits.device))
    focus = (torch.sigmoid(logits.detach()) - target).abs().clamp(min=0.02).sqrt() * known
    return (loss * focus).sum() / focus.sum()


def loss_of(logits, aux, target, aux_target, taught, share, learnt):
    """(loss from the labels, whole loss), frame by frame. Ignored frames count nothing in the loss from the labels.

    `taught`, the output of the teachers, is a probability for every frame, or None. `share` of the loss comes from it,
    and the whole loss of the labels that are not `learnt`. `aux` is None without an auxiliary head.
    """
    main = focal(logits[:, learnt], target[:, learnt].clamp(min=0).float(), (target[:, learnt] >= 0).float(), 2.0)
    whole = main
    if taught is not None:
        # twice, because frames with a target already count twice in the loss from the labels
        whole = (1 - share) * main + 2 * share * focal(logits, taught)
    if aux is not None:
        heard = torch.isfinite(aux_target)  # clips from the packages have no tagger scores
        side = F.binary_cross_entropy_with_logits(aux, aux_target.nan_to_num(0), reduction="none")
        whole = whole + (side * heard).sum() / heard.sum()
    return main, whole


class Teachers:
    """The mean of the logits of several networks, as probabilities."""

    def __init__(self, paths, device):
        self.networks = [read(path).to(device).eval() for path in paths]
        self.memories = [None] * len(paths)

    @torch.no_grad()
    def __call__(self, x, kept):
        """Waveforms [batch, samples], which memories to keep [batch, 1] -> probabilities [batch, classes, frames]."""
        said = []
        for i, network in enumerate(self.networks):
            logits, _, memory = network(x, None if self.memories[i] is None else self.memories[i] * kept)
            self.memories[i] = memory
            said.append(logits)
        return torch.sigmoid(sum(said) / len(said)).transpose(1, 2)


def all_clips(audio, work) -> tuple[list[Clip], list[Clip], int]:
    """(clips to train on, changed voices among them; clips held out; how many classes the tagger has)."""
    clips, classes = load(audio, work)
    clips += package_clips(work, len(classes)) + siren_clips(len(classes))
    training = [c for c in clips if not is_held_out(c.kind, c.group)] + changed_voices(clips, work)
    return training, [c for c in clips if is_held_out(c.kind, c.group)], len(classes)


def save(path, network):
    auxiliary = 0 if network.aux is None else network.aux.out_features
    options = {"classes": network.out.out_features, "auxiliary": auxiliary, "hidden": network.hidden, "both_ways": network.both_ways}
    torch.save({"network": options, "weights": network.state_dict()}, path + ".new")
    os.replace(path + ".new", path)


def read(path) -> Network:
    """A network that `save` wrote."""
    saved = torch.load(path, map_location="cpu")
    network = Network(**saved["network"])
    network.load_state_dict(saved["weights"])
    return network


def mean_of(paths) -> Network:
    """The network whose weights are the mean of these, without an auxiliary head."""
    networks = [read(path) for path in paths]
    for network in networks:
        network.aux = None
    states = [network.state_dict() for network in networks]
    networks[0].load_state_dict({k: sum(s[k] for s in states) / len(states) if v.dtype.is_floating_point else v for k, v in states[0].items()})
    return networks[0]


def average_precision(scores, target):
    """Area under the precision-recall curve over all known frames of one class."""
    order = scores[target >= 0].argsort(descending=True)
    hits = target[target >= 0][order].float()
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1, device=hits.device)
    return float((precision * hits).sum() / hits.sum())


@torch.no_grad()
def heard_well(network, batches, device):
    """The average precision of each class on mixtures of held-out recordings."""
    scores = torch.cat([network.eval()(x.to(device))[0].transpose(1, 2).cpu() for x, _ in batches])
    target = torch.cat([target for _, target in batches])
    return [round(average_precision(scores[:, i].flatten(), target[:, i].flatten()), 3) for i in range(scores.shape[1])]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("audio")
    parser.add_argument("work")
    parser.add_argument("name")
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--teacher", action="store_true", help="twice as much memory, and it hears what comes after")
    parser.add_argument("--taught-by", nargs="*", default=[], metavar="WEIGHTS")
    parser.add_argument("--taught", type=float, default=0.7, help="share of the loss that comes from these teachers; the rest comes from the labels")
    parser.add_argument("--start", nargs="*", default=[], metavar="WEIGHTS", help="train on from the mean of these")
    parser.add_argument("--learn", nargs="+", default=LABELS, choices=LABELS, help="labels that recordings teach")
    parser.add_argument("--calculated-bangs", type=int, default=0, metavar="N", help="draw N calculated bangs too, and N sounds that are taken for bangs")
    parser.add_argument("--calculated-glass", type=int, default=0, metavar="N", help="the same for breaking glass")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    if set(args.learn) != set(LABELS) and not args.taught_by:
        parser.error("--learn leaves some labels to teachers, and --taught-by names none; name their weights, or leave --learn out")
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    training, held_out, classes = all_clips(args.audio, args.work)
    training += bang_clips(args.calculated_bangs, args.seed, classes) + glass_clips(args.calculated_glass, args.seed, classes)
    kinds = sorted({c.kind for c in training if c.label is None})
    print(f"{len(training)} clips to train on, {len(held_out)} held out; {classes} classes of the tagger, {len(kinds)} kinds of negatives", flush=True)
    unheard = Mixer(held_out, 5, args.device)
    held_out = [tuple(x.cpu() for x in unheard.batch(BATCH)[:2]) for _ in range(24)]
    if args.start:
        network = mean_of(args.start)
    else:
        network = Network(3, classes + len(kinds), 256 if args.teacher else 128, args.teacher)
    network.drop.p = 0.3 if args.teacher else 0.15
    print("parameters", sum(p.numel() for p in network.parameters()), flush=True)
    # on a CPU this layout is more than twice as fast: the gradient of depthwise convolutions has its own fast path
    layout = torch.channels_last if args.device == "cpu" else torch.contiguous_format
    network = network.to(args.device, memory_format=layout)
    average = copy.deepcopy(network)
    teachers = Teachers(args.taught_by, args.device) if args.taught_by else None
    learnt = [LABELS.index(label) for label in args.learn]
    stream = Stream(training, 1000 * args.seed, args.device)
    batches = iter(stream if args.device != "cpu" else torch.utils.data.DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=6))
    optimiser = torch.optim.AdamW(network.parameters(), args.rate, weight_decay=1e-2)
    memory = torch.zeros(1, BATCH, network.hidden, device=args.device)
    path = os.path.join(args.work, f"{args.name}.pt")
    began, running = time.time(), None
    for step in range(args.steps):
        done = step / args.steps
        for group in optimiser.param_groups:
            group["lr"] = args.rate * max(1e-3, done / WARM_UP if done < WARM_UP else (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2)
        x, target, aux_target = next(batches)
        network.train()
        # most examples continue another's memory, so that old sound in the memory does not make the network hear worse
        kept = (torch.rand(BATCH, 1, device=args.device) < CARRIED).float()
        out, aux, memory = network(x, memory * kept)
        memory = memory.detach()
        main_loss, loss = loss_of(
            out.transpose(1, 2), aux if aux is None else aux.transpose(1, 2), target, aux_target, teachers(x, kept) if teachers else None, args.taught, learnt,
        )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        follow(average, network, min(0.998, (step + 1) / (step + 10)))
        if step % EVERY == 0:
            value = torch.stack([main_loss, loss]).detach()
            running = value if running is None else 0.7 * running + 0.3 * value
            print(f"step {step} loss {running[0]:.4f} with all {running[1]:.4f} seconds {time.time() - began:.0f}", flush=True)
        if (step + 1) % (10 * EVERY) == 0:
            print(f"average precision on held-out mixtures (glass, shout, bang) {heard_well(average, held_out, args.device)}", flush=True)
            save(path, average)
    print(f"{args.steps} steps, {time.time() - began:.0f} seconds, average precision on held-out mixtures {heard_well(average, held_out, args.device)}", flush=True)
    save(path, average)


@torch.no_grad()
def follow(average, network, keep):
    """Updates the exponential moving average of the weights. Counters are copied."""
    pairs = list(zip(average.state_dict().values(), network.state_dict().values()))
    floating = [(a, b) for a, b in pairs if a.dtype.is_floating_point]
    averages = [a for a, _ in floating]
    torch._foreach_mul_(averages, keep)
    torch._foreach_add_(averages, [b for _, b in floating], alpha=1 - keep)
    for a, b in pairs:
        if not a.dtype.is_floating_point:
            a.copy_(b)


if __name__ == "__main__":
    main()
