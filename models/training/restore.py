"""Reads an exported network back, so that anybody can train on from shipped weights:
restore.py AUDIO_DIR WORK_DIR MODEL_DIR NAME. Writes WORK_DIR/NAME.pt. Run packages.py and voices.py first.

The export folds each normalisation into the convolution before it. To learn on, a normalisation needs the mean and the
variance of what it sees. They are measured on training mixtures and divided out again, so the scores stay the same. The
auxiliary head is not exported, and stays away.
"""
import argparse
import os

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from mixing import Mixer
from network import Network
from train import BATCH, all_clips, save

BATCHES = 8  # of mixtures, for the mean and variance


def gates(packed: torch.Tensor) -> torch.Tensor:
    """The three gates of a GRU, one after the other: update, reset, new in ONNX; reset, update, new in torch."""
    update, reset, new = packed.chunk(3)
    return torch.cat([reset, update, new])


def folded(path: str) -> tuple[Network, list[tuple[nn.Conv2d, nn.BatchNorm2d]]]:
    """The network of a graph, with normalisations that only add what was folded into the convolutions, and the pairs of
    convolution and normalisation.
    """
    graph = onnx.load(path).graph
    tensor = {t.name: torch.tensor(numpy_helper.to_array(t)) for t in graph.initializer}
    network = Network().eval()
    pairs = [(network.first.conv, network.first2[0])]
    for block in network.blocks:
        pairs += [(block.a.conv, block.a2[0]), (block.a2[2], block.a2[3]), (block.b.conv, block.b2[0]), (block.b2[2], block.b2[3])]
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == len(pairs), f"Expected a graph of {len(pairs)} convolutions, got {len(convolutions)}"
    for node, (conv, norm) in zip(convolutions, pairs):
        conv.weight.data.copy_(tensor[node.input[1]])
        norm.bias.data.copy_(tensor[node.input[2]])
        norm.running_var.fill_(1 - norm.eps)
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(network.norm, name).data.copy_(tensor[f"network.norm.{name}"])
    (gru,) = [node for node in graph.node if node.op_type == "GRU"]
    network.gru.weight_ih_l0.data.copy_(gates(tensor[gru.input[1]][0]))
    network.gru.weight_hh_l0.data.copy_(gates(tensor[gru.input[2]][0]))
    inner, outer = tensor[gru.input[3]][0].chunk(2)
    network.gru.bias_ih_l0.data.copy_(gates(inner))
    network.gru.bias_hh_l0.data.copy_(gates(outer))
    network.out.weight.data.copy_(tensor[graph.node[[n.name for n in graph.node].index("/out/MatMul")].input[1]].T)
    network.out.bias.data.copy_(tensor["network.out.bias"])
    return network, pairs


@torch.no_grad()
def unfold(network: Network, pairs, waveforms: list[torch.Tensor]) -> None:
    """Gives each normalisation the mean and variance of what it sees, and the weights that undo them."""
    seen = {norm: [] for _, norm in pairs}

    def look(norm, given):
        seen[norm].append(torch.stack([given[0].mean((0, 2, 3)), given[0].square().mean((0, 2, 3))]))

    hooks = [norm.register_forward_pre_hook(look) for norm in seen]
    for x in waveforms:
        network(x)
    for hook in hooks:
        hook.remove()
    for norm, parts in seen.items():
        mean, square = torch.stack(parts).mean(0)
        variance = (square - mean**2).clamp(min=1e-6)
        norm.weight.data.copy_((variance + norm.eps).sqrt())
        norm.bias.data.add_(mean)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def main():
    parser = argparse.ArgumentParser()
    for name in ("audio", "work", "model", "name"):
        parser.add_argument(name)
    args = parser.parse_args()
    network, pairs = folded(os.path.join(args.model, "model.onnx"))
    mixer = Mixer(all_clips(args.audio, args.work)[0], 9)
    waveforms = [mixer.batch(BATCH)[0] for _ in range(BATCHES)]
    with torch.no_grad():
        before = network(waveforms[0])[0]
        unfold(network, pairs, waveforms)
        after = network(waveforms[0])[0]
    difference = float((torch.sigmoid(after) - torch.sigmoid(before)).abs().max())
    print(f"{args.model} restored; its scores differ by at most {difference:.1e}")
    assert difference < 1e-3, "the restored network does not compute what was exported"
    save(os.path.join(args.work, f"{args.name}.pt"), network)


if __name__ == "__main__":
    main()
