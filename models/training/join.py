"""Networks side by side as one, which says what they say in the mean of their logits: join.py OUT WEIGHTS WEIGHTS...

The auxiliary heads, which only teach, are left behind.
"""
import sys

import torch

from network import Network


def join(networks: list[Network]) -> Network:
    parts, hidden = len(networks), networks[0].hidden
    whole = Network(networks[0].out.out_features, parts=parts)
    joined = whole.state_dict()
    for name, value in joined.items():
        if name.startswith("grus."):
            _, part, rest = name.split(".", 2)
            value.copy_(networks[int(part)].state_dict()[f"grus.0.{rest}"])
            continue
        own = [network.state_dict()[name] for network in networks]
        if name == "out.weight":  # of what the recurrent layers make, then of what they are given
            value.copy_(torch.cat([w[:, :hidden] for w in own] + [w[:, hidden:] for w in own], 1) / parts)
        elif name == "out.bias":
            value.copy_(sum(own) / parts)
        else:  # of each channel for itself, or the same in all: a filter, a window, a count
            value.copy_(own[0] if value.shape == own[0].shape else torch.cat(own))
    whole.load_state_dict(joined)
    return whole


def read(path: str) -> Network:
    weights = {name: value for name, value in torch.load(path).items() if not name.startswith("aux.")}
    network = Network(len(weights["out.bias"]))
    network.load_state_dict(weights)
    return network


def main():
    out, *paths = sys.argv[1:]
    torch.save(join([read(path) for path in paths]).state_dict(), out)


if __name__ == "__main__":
    main()
