"""Speed of every network against the published one as it was published.

    python -m benchmarks.speed                 # the table, under ten minutes on one core
    python -m benchmarks.speed --only speed    # or: accuracy, curves, seeds, compile

Plain build: torch.nn.TransformerEncoder, eval(), inference_mode, torch's fast path, batch 2,048,
chips of 9 x 9, six bands. Everything runs on one thread and is timed in processor time, in turns;
a ratio is the median over rounds of the ratio within a round. Memory is the peak above what the
process held before the step (Linux only).
"""

import argparse
import copy
import math
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from benchmarks.core_speed import PlainSpatioformer
from torch import Tensor, nn

from spatioformer.nn import (
    DenseSpatioformer,
    FactoFormer,
    PaperCNN,
    PaperSpatioformer,
    Spatioformer,
)

PATCH, BANDS, BATCH, MICRO, SIDE = 9, 6, 2048, 128, 256
LOCATION = {"name": "sphere", "wavelengths": [84.0, 42.0, 21.0, 10.5]}
MODES = ("inference", "dropout on", "training")

Inputs = tuple[Tensor, Tensor, Tensor]
Call = Callable[..., Tensor]


class Row(NamedTuple):
    """A way to compute: the network, how it is called, how many chips at a time."""

    network: nn.Module
    call: Call
    batch: int


def plainly(network: nn.Module, *inputs: Tensor) -> Tensor:
    return network(*inputs)


def in_bf16(network: nn.Module, *inputs: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return network(*inputs).float()


def rows() -> dict[str, Row]:
    """Every network by name, the plain build first."""
    published = PaperSpatioformer(PATCH, BANDS)
    return {
        "plain build": Row(PlainSpatioformer(PATCH), plainly, BATCH),
        "published, torch, micro-batches": Row(published, PaperSpatioformer.reference, MICRO),
        "published, kernels": Row(published, plainly, BATCH),
        "published, bf16, micro-batches": Row(published, in_bf16, MICRO),
        "CNN": Row(PaperCNN(PATCH, BANDS), plainly, MICRO),
        "FactoFormer": Row(FactoFormer(PATCH, BANDS), plainly, MICRO),
        "default": Row(Spatioformer(PATCH, BANDS, location=LOCATION), plainly, MICRO),
    }


def inputs(count: int, patch: int = PATCH) -> Inputs:
    """Reflectance x 10000 and degrees, of chips somewhere in Australia."""
    chips = torch.rand(count, patch, patch, BANDS) * 4000
    centre = torch.tensor([130.0, -25.0], dtype=torch.float64)[:, None, None, None]
    lon, lat = centre + 15 * torch.rand(2, count, 1, 1, dtype=torch.float64)
    steps = 0.00025 * torch.arange(patch, dtype=torch.float64)
    shape = (count, patch, patch)
    return chips, (lon + steps).expand(shape), (lat - steps[:, None]).expand(shape)


def target(chips: Tensor) -> Tensor:
    """A made-up richness that chips tell, about 50 species."""
    return 50 + 200 * (chips.mean((1, 2, 3)) / 2000 - 1)


def step_of(row: Row, mode: str, data: Inputs) -> Callable[[], None]:
    parts = list(zip(*(tensor.split(row.batch) for tensor in data), strict=True))

    def prepare() -> None:
        row.network.train(mode == "training")
        if mode == "dropout on":
            # A torch layer that does not train takes its fast path, which drops nothing.
            dropping = (nn.Dropout, nn.MultiheadAttention, nn.TransformerEncoderLayer)
            for module in row.network.modules():
                if isinstance(module, dropping):
                    module.training = True

    def predict() -> None:
        prepare()
        with torch.inference_mode():
            for part in parts:
                row.call(row.network, *part)

    def train() -> None:
        prepare()
        row.network.zero_grad()
        total = 0.0
        for part in parts:
            error = row.call(row.network, *part) - target(part[0])
            squared = error.square().sum()
            squared.backward()
            total += squared.item()
        scale = 0.5 / math.sqrt(total * len(data[0]))  # of the sum, to give that of sqrt(MSE)
        for parameter in row.network.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(scale)

    return train if mode == "training" else predict


def measured(step: Callable[[], None]) -> tuple[float, float]:
    """Processor seconds, and the peak of memory above what was held before, MB."""
    held, peak, done = resident(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], resident() - held)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.process_time()
    try:
        step()
    finally:
        seconds = time.process_time() - start
        done.set()
        watcher.join()
    return seconds, peak[0]


def resident() -> float:
    """MB in memory, as Linux tells; 0 elsewhere."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return 0.0
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def speed(rounds: int = 2) -> None:
    """A batch of 2,048 chips: predicted, predicted with dropout on, and a training step."""
    data = inputs(BATCH)
    table = rows()
    # What works in micro-batches needs no more than a few of them.
    chips = {name: max(row.batch, 4 * MICRO) for name, row in table.items()}
    print(f"{'network':<34}{'':<12}{'chips/s':>10}{'ratio':>8}{'range':>14}{'MB':>8}")
    for mode in MODES:
        steps = {}
        for name, row in table.items():
            step_of(row, mode, inputs(64))()  # compiles, allocates
            steps[name] = step_of(row, mode, tuple(tensor[: chips[name]] for tensor in data))
        taken = [{name: measured(step) for name, step in steps.items()} for _ in range(rounds)]
        each = [{name: one[name][0] / chips[name] for name in table} for one in taken]
        for name in table:
            ratios = [one["plain build"] / one[name] for one in each]
            rate = 1 / statistics.median(one[name] for one in each)
            show(name, mode, rate, ratios, statistics.median(one[name][1] for one in taken))
        if mode == "inference":
            plain = statistics.median(one["plain build"] for one in each)
            for patch in (PATCH, 3):
                dense(patch, plain)


def show(name: str, mode: str, rate: float, ratios: list[float], memory: float) -> None:
    span = f"{min(ratios):.2f}-{max(ratios):.2f}"
    middle = statistics.median(ratios)
    print(f"{name:<34}{mode:<12}{rate:>10,.0f}{middle:>8.2f}{span:>14}{memory:>8,.0f}", flush=True)


def dense(patch: int, plain: float) -> None:
    """A tile of SIDE x SIDE pixels; `plain` is the plain build's time a pixel."""
    network = DenseSpatioformer(patch, BANDS, location=LOCATION).eval()
    side = SIDE + 2 * (patch // 2)
    tile = torch.randn(1, BANDS, side, side)
    lon = (130 + 0.00025 * torch.arange(side, dtype=torch.float64)).expand(1, side, side)
    lat = (-25 - 0.00025 * torch.arange(side, dtype=torch.float64))[:, None].expand(1, side, side)

    def step() -> None:
        with torch.inference_mode():
            network.forward_tile(tile, lon, lat)

    step()
    taken = [measured(step) for _ in range(3)]
    ratios = [plain * SIDE**2 / seconds for seconds, _ in taken]
    rate = SIDE**2 / statistics.median(seconds for seconds, _ in taken)
    show(f"dense, P = {patch}", "inference", rate, ratios, statistics.median(m for _, m in taken))


def plain_of(network: PaperSpatioformer, dropout: float = 0.1) -> PlainSpatioformer:
    """The plain build with the weights of ours."""
    plain = PlainSpatioformer(network.config["patch"], dropout=dropout)
    published = network.to_published()
    names = {"transformer_encoder.": "encoder.", "feedforward.": "head.", "encoder.": "embedding."}
    known = {"independent": "class_token", "geolocation_encoder.lmd": "geolocation.weight"}
    for theirs, tensor in published.items():
        prefix = next((p for p in names if theirs.startswith(p)), None)
        ours = known.get(theirs) or names[prefix] + theirs.removeprefix(prefix)
        plain.get_parameter(ours).data.copy_(tensor)
    return plain


def trained(network: nn.Module, call: Call, steps: int, batch: int, seed: int) -> list[float]:
    """Adam on sqrt(MSE), as published; returns the loss of each step."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    chips, lon, lat = inputs(4 * batch, network_patch(network))
    optimiser = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=1e-4)
    network.train()
    losses = []
    for _ in range(steps):
        chosen = torch.randint(len(chips), (batch,), generator=generator)
        part = chips[chosen], lon[chosen], lat[chosen]
        loss = (call(network, *part) - target(part[0])).square().mean().sqrt()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def network_patch(network: nn.Module) -> int:
    tokens = next(m for m in network.head if isinstance(m, nn.Linear)).in_features // 16
    return math.isqrt(tokens - 1)


def accuracy(steps: int = 150) -> None:
    """Species by the plain build, the kernels and bf16, from a network trained a little."""
    torch.manual_seed(0)
    network = PaperSpatioformer(PATCH, BANDS)
    losses = trained(network, plainly, steps, 128, seed=0)
    network.eval()
    data = inputs(512)
    with torch.inference_mode():
        exact = copy.deepcopy(network).double()(data[0].double(), *data[1:])
        ways = {
            "plain build": plain_of(network).eval()(*data),
            "kernels": network(*data),
            "torch, ours": network.reference(*data),
            "bf16": in_bf16(network, *data),
        }
    print(
        f"loss {losses[0]:.1f} -> {losses[-1]:.1f}, {exact.min():.1f} to {exact.max():.1f} species"
    )
    for name, out in ways.items():
        against = (out - ways["plain build"]).abs().max()
        print(f"{name:<14} against the plain build {against:.1e}, float64 "
              f"{(out - exact).abs().max():.1e} species at most")  # fmt: skip


def curves(steps: int = 20) -> None:
    """Loss curves without dropout from the same weights, P = 3, batch 64.

    Raw bands with lambda = 10000 make training amplify rounding; how much, the plain build in
    float64 tells.
    """
    for bands, scale, weight in (("standardised", 1 / 2000, 3.0), ("raw", 1.0, 10000.0)):
        torch.manual_seed(0)
        ours = PaperSpatioformer(3, BANDS, dropout=0.0, location_weight=weight)
        plain = plain_of(ours, dropout=0.0)

        def losses(network: nn.Module, call: Call, scale: float = scale) -> list[float]:
            dtype = next(network.parameters()).dtype

            def scaled(network: nn.Module, chips: Tensor, *place: Tensor) -> Tensor:
                return call(network, chips.to(dtype) * scale, *place)

            return trained(network, scaled, steps, 64, seed=0)

        double = losses(copy.deepcopy(plain).double(), plainly)
        base, kernels = losses(plain, plainly), losses(ours, plainly)
        for name, curve in (("kernels", kernels), ("plain build in float64", double)):
            worst = max(abs(a - b) / a for a, b in zip(base, curve, strict=True))
            print(f"{bands} bands, {name}: at most {worst:.1e} of the plain build's loss")


def seeds(count: int = 3, steps: int = 60) -> None:
    """RMSE on chips not trained on, with dropout 0.1 and P = 3, over seeds."""
    held = inputs(1000, 3)
    for name in ("plain build", "kernels"):
        errors = []
        for seed in range(count):
            torch.manual_seed(seed)
            ours = PaperSpatioformer(3, BANDS)
            network = plain_of(ours) if name == "plain build" else ours
            trained(network, plainly, steps, 128, seed)
            network.eval()
            with torch.inference_mode():
                error = network(*held) - target(held[0])
            errors.append(error.square().mean().sqrt().item())
        print(f"{name:<14} RMSE " + ", ".join(f"{error:.2f}" for error in errors), flush=True)


def compiled() -> None:
    """torch.compile on the same micro-batches; it needs a C++ compiler."""
    network = PaperSpatioformer(PATCH, BANDS).eval()
    row = Row(network, PaperSpatioformer.reference, MICRO)
    start = time.perf_counter()
    torch_compiled = Row(torch.compile(network), plainly, MICRO)
    step_of(torch_compiled, "inference", inputs(MICRO))()
    print(f"torch.compile: {time.perf_counter() - start:.0f} s to compile")
    data = inputs(4 * MICRO)
    kernels = Row(network, plainly, MICRO)
    for name, way in {"torch": row, "compiled": torch_compiled, "kernels": kernels}.items():
        seconds = min(measured(step_of(way, "inference", data))[0] for _ in range(2))
        print(f"{name:<14} {4 * MICRO / seconds:,.0f} chips/s")


BENCHMARKS = {
    "speed": speed,
    "accuracy": accuracy,
    "curves": curves,
    "seeds": seeds,
    "compile": compiled,
}
USUAL = [name for name in BENCHMARKS if name != "compile"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=USUAL)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, processor time")
    for name in arguments.only:
        torch.manual_seed(0)
        print(f"\n{name}: {BENCHMARKS[name].__doc__}".rstrip())
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()
