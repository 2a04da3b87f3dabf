"""Reads trained weights back from a published streaming graph, to train on with them. Debian: python3-onnx.

The export folds each batch norm into the convolution before it. `unfold` gives the norms back their statistics, from
examples, without changing what the network computes.
"""
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
def load_published(net: Network, path: str) -> None:
    """Sets every exported weight; the auxiliary head keeps its own. Raises ValueError where the graph has another shape."""
    tensors = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in onnx.load(path).graph.initializer}
    folded = [t for name, t in tensors.items() if "Conv_" in name]
    pairs = convolutions(net)
    if len(folded) != 2 * len(pairs):
        raise ValueError(f"Expected {len(pairs)} convolutions with bias in {path}, got {len(folded)} tensors")
    for (conv, norm), weight, bias in zip(pairs, folded[::2], folded[1::2]):
        conv.weight.copy_(weight)
        norm.weight.fill_(1), norm.bias.copy_(bias), norm.running_mean.zero_(), norm.running_var.fill_(1)
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(net.norm, name).copy_(tensors[f"network.norm.{name}"])
    gates = [t for name, t in tensors.items() if "GRU_" in name]
    # ONNX orders the gates update, reset, new; torch reset, update, new
    order = lambda t: torch.cat([t.chunk(3)[i] for i in (1, 0, 2)])
    net.gru.weight_ih_l0.copy_(order(gates[0][0]))
    net.gru.weight_hh_l0.copy_(order(gates[1][0]))
    net.gru.bias_ih_l0.copy_(order(gates[2][0].chunk(2)[0]))
    net.gru.bias_hh_l0.copy_(order(gates[2][0].chunk(2)[1]))
    net.out.bias.copy_(tensors["network.out.bias"])
    net.out.weight.copy_([t for name, t in tensors.items() if "MatMul_" in name and t.shape[1] == 3][0].T)


@torch.no_grad()
def unfold(net: Network, waveforms: torch.Tensor) -> None:
    """Measures each norm's input on examples [batch, samples] and makes the norm undo exactly what it will then do."""
    net.eval()
    measured = {}
    hooks = [norm.register_forward_hook(lambda m, i, o: measured.__setitem__(m, (i[0].mean((0, 2, 3)), i[0].var((0, 2, 3))))) for _, norm in convolutions(net)]
    net(waveforms)
    for hook in hooks:
        hook.remove()
    for norm, (mean, var) in measured.items():
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        offset = norm.bias - gain * norm.running_mean
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
        norm.weight.copy_(gain * torch.sqrt(var + norm.eps))
        norm.bias.copy_(offset + gain * mean)
