"""The mean of the published weights and those of WORK_DIR/model.pt, which went on from them: mean.py AUDIO_DIR WORK_DIR PUBLISHED."""
import sys

import torch

from corpus import is_held_out, load
from mixing import Mixer
from network import Network
from train import start_from_published


def main():
    audio, work, published = sys.argv[1:4]
    branch = torch.load(f"{work}/model.pt")
    clips, _ = load(audio, work)
    net = Network(3, branch["aux.weight"].shape[0])
    start_from_published(net, published, Mixer([c for c in clips if not is_held_out(c.kind, c.group)], 99))
    start = net.state_dict()
    torch.save({k: (start[k] + v) / 2 if v.dtype.is_floating_point else v for k, v in branch.items()}, f"{work}/model.pt")


if __name__ == "__main__":
    main()
