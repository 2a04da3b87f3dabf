"""Reads the weights of street 0.7.0 back from its graph, as a network of today: published.py MODEL.onnx OUT. Debian: python3-onnx.

Half of 0.8.0 are these weights, which came by several trainings from earlier ones; the graph is in the repository's history. The export had folded each
batch norm into the convolution before it, mel came before time in its kernels, and it did not hear the foreground.
"""
import sys

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from network import Network


def convolutions(net: Network) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Every convolution with the norm that follows it, in the order of the graph."""
    pairs = [(net.first.conv, net.first2[0])]
    for block in net.blocks:
        pairs += [(block.a.conv, block.a2[0]), (block.a2[2], block.a2[3]), (block.b.conv, block.b2[0]), (block.b2[2], block.b2[3])]
    return pairs


@torch.no_grad()
def read_published(path: str) -> Network:
    """Raises ValueError where the graph has another shape."""
    net = Network(3)
    tensors = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in onnx.load(path).graph.initializer}
    folded = [t for name, t in tensors.items() if "Conv_" in name]
    pairs = convolutions(net)
    if len(folded) != 2 * len(pairs):
        raise ValueError(f"Expected {len(pairs)} convolutions with bias in {path}, got {len(folded)} tensors")
    for (conv, norm), weight, bias in zip(pairs, folded[::2], folded[1::2]):
        conv.weight.zero_()
        conv.weight[:, : weight.shape[1]] = weight.transpose(2, 3)
        norm.weight.fill_(1), norm.bias.copy_(bias), norm.running_mean.zero_(), norm.running_var.fill_(1 - norm.eps)
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(net.norm, name)[0] = tensors[f"network.norm.{name}"][0]
    gru = net.grus[0]
    gates = [t for name, t in tensors.items() if "GRU_" in name]
    # ONNX orders the gates update, reset, new; torch reset, update, new
    order = lambda t: torch.cat([t.chunk(3)[i] for i in (1, 0, 2)])
    gru.weight_ih_l0.copy_(order(gates[0][0]))
    gru.weight_hh_l0.copy_(order(gates[1][0]))
    gru.bias_ih_l0.copy_(order(gates[2][0].chunk(2)[0]))
    gru.bias_hh_l0.copy_(order(gates[2][0].chunk(2)[1]))
    net.out.bias.copy_(tensors["network.out.bias"])
    net.out.weight.copy_([t for name, t in tensors.items() if "MatMul_" in name and t.shape[1] == 3][0].T)
    return net


def main():
    model, out = sys.argv[1:]
    torch.save(read_published(model).state_dict(), out)


if __name__ == "__main__":
    main()
