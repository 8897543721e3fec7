"""How often a network is right: top-1 and top-5 over a folder of pictures named <class index>_<name>.jpg.

python tests/benchmarks/accuracy.py FOLDER [--model squeezenet1_1] [--batch 32]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from cnnviz_widgets.data import as_picture
from cnnviz_widgets.models import Network, load


def main() -> None:
    """Print one line: the network, the number of pictures, top-1 and top-5 in percent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="squeezenet1_1")
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    files = sorted(file for file in options.folder.glob("*_*") if file.name.split("_")[0].isdigit())
    if not files:
        parser.error(f"no files <class index>_<name> in {options.folder}")
    ranks = torch.cat(
        [
            ranks_of_truth(load_once, files[start : start + options.batch])
            for load_once in [load(options.model)]
            for start in range(0, len(files), options.batch)
        ]
    )
    top1, top5 = (100 * (ranks < k).double().mean().item() for k in (1, 5))
    print(f"{options.model}: {len(files)} pictures, top-1 {top1:.1f} %, top-5 {top5:.1f} %")


@torch.inference_mode()
def ranks_of_truth(network: Network, files: list[Path]) -> torch.Tensor:
    """For every picture, how many classes score higher than the true one: 0 is right (N,)."""
    images = torch.stack([network.preprocessing(as_picture(file)) for file in files])
    truth = torch.tensor([int(file.name.split("_")[0]) for file in files])
    scores = network.module(images)
    return (scores > scores.gather(1, truth[:, None])).sum(1)


if __name__ == "__main__":
    main()
