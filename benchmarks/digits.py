"""Accuracy of `spatioformer vision train digits` on a held-out quarter, over several seeds.

    python -m benchmarks.digits [--seeds 0 1 2] [--threads 2] [--out FOLDER]

A seed decides the split (stratified), the initial weights and the draws of training. The recipe was
chosen on a validation part of the other three quarters; the held-out quarter is scored once.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from spatioformer.vision.experiment import train
from spatioformer.vision.images import read_digits
from spatioformer.vision.settings import Recipe

RECIPE = {"epochs": 60, "shift": 0.7, "rotation": 12.0, "label_smoothing": 0.05}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="keep the models here, in folders seed-0, ...")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images = read_digits()
    print(f"torch {torch.__version__}, {arguments.threads} threads; {RECIPE}")
    found = []
    for seed in arguments.seeds:
        wall, cpu = time.perf_counter(), time.process_time()
        with tempfile.TemporaryDirectory() as temporary:
            folder = (arguments.out or Path(temporary)) / f"seed-{seed}"
            outcome = train(images, folder, Recipe(seed=seed, **RECIPE), resume=False)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        found.append(outcome.scores["accuracy"])
        history = outcome.history
        print(
            f"seed {seed}: {found[-1]:.4f} of {outcome.held_out} held out "
            f"(validation {history.best['validation_accuracy']:.4f}, epoch {history.best_epoch} of "
            f"{len(history.rows)}); {wall:.0f} s, {cpu:.0f} s of CPU",
            flush=True,
        )
    print(f"mean {statistics.mean(found):.4f}")


if __name__ == "__main__":
    main()
