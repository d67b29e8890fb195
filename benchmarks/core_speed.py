"""Speed of the transformer core against torch's and transformers' builds of the same networks.

    python -m benchmarks.core_speed [--threads 2] [--only NAME ...]

Ratios of times measured in one run, in turn: above 1 means ours is faster. Each figure is the
median over rounds of the ratio within a round, so a change in the machine's load between rounds
does not tell.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from spatioformer.nn import GPT, PaperGeolocation, PaperSpatioformer, ViT

Step = Callable[[], object]


class PlainSpatioformer(nn.Module):
    """The published network on torch.nn.TransformerEncoder."""

    def __init__(self, patch: int, width: int = 16, dropout: float = 0.1):
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 8, 1024, dropout, batch_first=True)
        self.embedding = nn.Linear(6, width)
        self.geolocation = PaperGeolocation(width)
        self.class_token = nn.Parameter(torch.ones(1, width))
        self.encoder = nn.TransformerEncoder(layer, 3)
        self.head = nn.Sequential(nn.Linear((patch * patch + 1) * width, 1024), nn.Linear(1024, 1))

    def forward(self, chips, lon, lat):
        tokens = self.embedding(chips.flatten(1, 2)) * self.embedding.out_features**0.5
        tokens = tokens + self.geolocation(lon.flatten(1), lat.flatten(1))
        first = self.class_token.expand(len(chips), 1, -1)
        return self.head(self.encoder(torch.cat([first, tokens], 1)).flatten(1))[:, 0]


def seconds(step: Step, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def compare(name: str, theirs: Step, ours: Step, rounds: int = 9, floor: float = 0.2) -> None:
    """Print one line; each round runs both for at least `floor` seconds."""
    ours()
    theirs()
    repeats = max(1, round(floor / max(seconds(ours, 1), 1e-4)))
    times = []
    for i in range(rounds):
        pair = (theirs, ours) if i % 2 else (ours, theirs)
        measured = {step: seconds(step, repeats) for step in pair}
        times.append((measured[theirs], measured[ours]))
    ratios = sorted(a / b for a, b in times)
    low, high = (ratios[1], ratios[-2]) if rounds > 2 else (ratios[0], ratios[-1])
    them, us = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
    print(
        f"{name:<46} {statistics.median(ratios):5.2f}   ({low:.2f}-{high:.2f})"
        f"   {us:9.2f} ms against {them:9.2f} ms",
        flush=True,
    )


def training(model: nn.Module, lose: Callable[[nn.Module], torch.Tensor]) -> Step:
    model.train()

    def step():
        model.zero_grad()
        lose(model).backward()

    return step


def inference(model: nn.Module, run: Callable[[nn.Module], object]) -> Step:
    model.eval()

    def step():
        with torch.inference_mode():
            return run(model)

    return step


def both(name: str, theirs: nn.Module, ours: nn.Module, run_theirs, run_ours, lose) -> None:
    """Training step and forward pass of two models; `run_*` gives the output, `lose` its loss."""
    compare(
        f"{name}, training",
        training(theirs, lambda model: lose(run_theirs(model))),
        training(ours, lambda model: lose(run_ours(model))),
    )
    compare(f"{name}, forward", inference(theirs, run_theirs), inference(ours, run_ours))


def published() -> None:
    for patch, width, batch in ((3, 16, 64), (3, 32, 64), (3, 16, 512), (9, 16, 64)):
        chips = torch.rand(batch, patch, patch, 6) * 4000
        lon, lat = torch.rand(2, batch, patch, patch, dtype=torch.float64) * 30
        for dropout in (0.1, 0.0):
            theirs = PlainSpatioformer(patch, width, dropout)
            ours = PaperSpatioformer(patch, width=width, dropout=dropout)
            name = f"Spatioformer P={patch} D={width} B={batch}"

            def run(call, inputs=(chips, lon, lat)):
                return call(*inputs)

            compare(
                f"{name} dropout {dropout}, training",
                training(theirs, lambda model: run(model).square().mean()),
                training(ours, lambda model: run(model.reference).square().mean()),
            )
        compare(
            f"{name}, forward",
            inference(theirs, run),
            inference(ours, lambda model: run(model.reference)),
        )


def gpt() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    vocabulary, context = 8000, 1024
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=context,
        n_embd=384,
        n_layer=6,
        n_head=6,
        resid_pdrop=0,
        embd_pdrop=0,
        attn_pdrop=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    theirs = GPT2LMHeadModel(config)
    ours = GPT(vocabulary, context, 384, 6, 6)
    ids = torch.randint(vocabulary, (8, 129))
    both(
        "GPT 6 x 384, B=8 T=128",
        theirs,
        ours,
        lambda model: model(ids[:, :-1], use_cache=False).logits,
        lambda model: model(ids[:, :-1]),
        lambda logits: F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()),
    )
    generation(theirs, ours)


def generation(theirs: nn.Module, ours: GPT, count: int = 512) -> None:
    prompt = torch.randint(8000, (1, 8))
    mask = torch.ones_like(prompt)

    def transformers_generate():
        return theirs.eval().generate(
            prompt,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=count,
            min_new_tokens=count,
            pad_token_id=0,
        )

    def cached():
        return ours.eval().generate(prompt, count, temperature=0)

    def uncached():
        ids = prompt
        with torch.inference_mode():
            for _ in range(count):
                ids = torch.cat([ids, ours(ids)[:, -1:].argmax(-1)], dim=1)
        return ids

    compare(f"generate {count}, against transformers", transformers_generate, cached, rounds=5)
    compare(f"generate {count}, against no cache", uncached, cached, rounds=1)


def vit() -> None:
    from transformers import ViTConfig, ViTForImageClassification

    for image, patch, width, layers, heads, batch in (
        (8, 2, 64, 4, 4, 128),
        (64, 8, 192, 6, 3, 16),
    ):
        config = ViTConfig(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            image_size=image,
            patch_size=patch,
            num_labels=10,
        )
        images, labels = torch.rand(batch, 3, image, image), torch.randint(10, (batch,))
        both(
            f"ViT {layers} x {width}, {image}/{patch}, B={batch}",
            ViTForImageClassification(config),
            ViT(image, patch, 3, width, heads, layers, outputs=10),
            lambda model, images=images: model(images).logits,
            lambda model, images=images: model(images),
            lambda logits, labels=labels: F.cross_entropy(logits, labels),
        )


BENCHMARKS = {"published": published, "gpt": gpt, "vit": vit}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {arguments.threads} threads; ratio theirs / ours")
    for name in arguments.only:
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()
