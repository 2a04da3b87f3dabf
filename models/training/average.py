"""The mean of the weights of networks with one ancestor, published graphs all of them: average.py OUT.pt MODEL.onnx MODEL.onnx ...

Networks trained on from the same weights lie close enough together for their mean to hear better than each of them
(Wortsman et al. 2022, "Model soups"), at the cost of one.
"""
import sys

import torch

from network import Network
from published import load_published


def main():
    out, *paths = sys.argv[1:]
    states = []
    for path in paths:
        network = Network(3)
        load_published(network, path)
        states.append(network.state_dict())
    torch.save({name: sum(state[name] for state in states) / len(states) for name in states[0]}, out)
    print(f"the mean of {len(states)} networks")


if __name__ == "__main__":
    main()
