"""Trains the network: train.py AUDIO_DIR WORK_DIR --steps N. Writes WORK_DIR/model.pt and prints its log. voices.py goes before it."""
import argparse
import copy
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

from corpus import is_held_out, load
from mixing import Mixer
from network import Network
from packages import package_clips
from sirens import siren_clips
from voices import changed_voices

BATCH = 32
CARRIED = 0.7  # share of examples that begin with the memory left by another example


class Stream(torch.utils.data.IterableDataset):
    """An endless stream of mixed examples."""

    def __init__(self, clips, seed):
        self.clips, self.seed = clips, seed

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        mixer = Mixer(self.clips, self.seed + (worker.id if worker else 0))
        while True:
            yield mixer.example()


def loss_of(out, aux, target, aux_target, positive_weight=2.0):
    """Frame-wise cross-entropy; ignored frames count nothing; the auxiliary head at a third of the weight."""
    logits = out.transpose(1, 2)
    known = (target >= 0).float()
    main = F.binary_cross_entropy_with_logits(logits, target.clamp(min=0).float(), reduction="none", pos_weight=torch.tensor(positive_weight))
    # focal weight: confusers that are still scored high matter, the long quiet does not
    p = torch.sigmoid(logits.detach())
    focus = torch.where(target > 0, 1 - p, p).clamp(min=0.02) ** 0.5
    main = (main * focus * known).sum() / (focus * known).sum()
    heard = torch.isfinite(aux_target)  # of clips from the packages a tagger's scores are not known
    side = F.binary_cross_entropy_with_logits(aux.transpose(1, 2), aux_target.nan_to_num(0), reduction="none")[heard].mean()
    return main, main + 1.0 * side


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("audio")
    parser.add_argument("work")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    clips, classes = load(args.audio, args.work)
    clips += package_clips(args.work, len(classes)) + siren_clips(len(classes))
    training = [c for c in clips if not is_held_out(c.kind, c.group)]
    voices = changed_voices(clips, args.work)
    kinds = sorted({c.kind for c in training if c.label is None})
    print(
        f"{len(training)} clips to train on and {len(voices)} changed voices, {len(clips) - len(training)} held out; "
        f"{len(classes)} teacher classes, {len(kinds)} kinds of negatives", flush=True,
    )
    # more than twice as fast on a CPU as the usual layout: the gradient of depthwise convolutions has a path of its own
    net = Network(3, len(classes) + len(kinds)).to(memory_format=torch.channels_last)
    print("parameters", sum(p.numel() for p in net.parameters()), flush=True)
    average = copy.deepcopy(net)
    batches = iter(torch.utils.data.DataLoader(Stream(training + voices, 1000 * args.seed), batch_size=BATCH, num_workers=1, prefetch_factor=6))
    optimiser = torch.optim.AdamW(net.parameters(), args.rate, weight_decay=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.rate, args.steps, pct_start=0.08)
    memory = torch.zeros(1, BATCH, net.parts * net.hidden)
    began, running, waited = time.time(), None, 0.0
    for step in range(args.steps):
        t = time.time()
        x, target, aux_target = next(batches)
        waited += time.time() - t
        net.train()
        # most examples follow another, so that what was heard long ago is no reason to hear worse
        memory = memory * (torch.rand(BATCH, 1) < CARRIED)
        out, aux, memory = net(x, memory)
        memory = memory.detach()
        main_loss, loss = loss_of(out, aux, target, aux_target)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        follow(average, net, min(0.998, (step + 1) / (step + 10)))
        value = np.array([main_loss.item(), loss.item()])
        running = value if running is None else 0.98 * running + 0.02 * value
        if step % 50 == 0:
            print(f"step {step} loss {running[0]:.4f} with auxiliary {running[1]:.4f} seconds {time.time() - began:.0f} waiting for examples {waited:.0f}", flush=True)
        if step % 200 == 199 or step == args.steps - 1:
            torch.save(average.state_dict(), os.path.join(args.work, "model.pt.new"))
            os.replace(os.path.join(args.work, "model.pt.new"), os.path.join(args.work, "model.pt"))


@torch.no_grad()
def follow(average, net, keep):
    """Exponential moving average of the weights; counters are copied."""
    for a, b in zip(average.state_dict().values(), net.state_dict().values()):
        if a.dtype.is_floating_point:
            a.mul_(keep).add_(b, alpha=1 - keep)
        else:
            a.copy_(b)


if __name__ == "__main__":
    main()
