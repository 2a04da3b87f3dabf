"""The mean of the weights with which training began and those with which it ended: mean.py WORK_DIR. Writes
WORK_DIR/mean.pt. Both are of one network
whose batch norms have the same past; means of others are worth nothing."""
import sys

import torch


def main():
    (work,) = sys.argv[1:]
    start, end = torch.load(f"{work}/start.pt"), torch.load(f"{work}/model.pt")
    torch.save({k: (start[k] + v) / 2 if v.dtype.is_floating_point else v for k, v in end.items()}, f"{work}/mean.pt")


if __name__ == "__main__":
    main()
