"""Answers to the exercises, computed. An answer that is a choice is its number, from 1."""

import math

import numpy as np
import torch

from spatioformer.analysis.survey import choose
from spatioformer.evaluation.metrics import scores
from spatioformer.learn.chapters.words import LOGITS, PROMPT, softmax
from spatioformer.learn.facts import Facts, Number, Value
from spatioformer.learn.invented import Landscape
from spatioformer.learn.tools import Tools, VisionLesson
from spatioformer.text.trace import trace_text

SAME = 1e-9  # numbers that differ by less are the same
COLD = 0.5  # temperature
QUERY, KEY = (1, 2, 0, 1), (2, 0, 1, 2)
WAVE = 220.0  # degrees
SPOT = (75, 100)  # row and column of the invented landscape
OBSERVED, CONSTANT = (10, 20, 30), 30  # species
TOTAL, HIT = 80, 60  # plots, and those inside their intervals
BEFORE, AWAY = (2, 1), (1, 3)  # dissimilarity of two pixels, and between each and a site


def words(tools: Tools) -> Facts:
    """Answers of chapter 1."""
    before, after = (softmax([logit + add for logit in LOGITS], 1.0) for add in (0.0, 5.0))
    # Choices: the largest grows; none changes; all grow.
    change = np.subtract(after, before)
    choice = 2 if np.abs(change).max() < SAME else 3 if (change > 0).all() else 1
    values: dict[str, Value] = {
        "exercise_shift": Number(choice),
        "exercise_cold": Number(softmax((1.0, 0.0), COLD)[0], 1, percent=True),
    }
    if tools.spanish is not None:
        (_, share), *_ = tools.spanish.model.next(PROMPT, 1, COLD)
        values["exercise_half"] = Number(share, 1, percent=True)
    return Facts(values)


def attention(tools: Tools) -> Facts:
    """Answers of chapter 2."""
    table = np.ones((10, 10)), np.ones((20, 20))
    scores = np.random.default_rng(0).normal(size=(4, 4))
    scores[np.triu_indices(4, 1)] = -np.inf
    pattern = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    values: dict[str, Value] = {
        "exercise_table": Number(table[1].size / table[0].size),
        "exercise_first": Number(float(pattern[0, 0]), percent=True),
        "exercise_score": Number(float(np.dot(QUERY, KEY)) / math.sqrt(len(KEY)), 1),
        "exercise_order": Number(2 if _order_alone_changes() else 1),
    }
    if tools.spanish is not None:
        traced = trace_text(tools.spanish.model, "El zorro")
        values["exercise_pieces"] = Number(
            len(traced.tokens) - len(trace_text(tools.spanish.model, "El").tokens)
        )
    return Facts(values)


def _order_alone_changes() -> bool:
    """Whether scores of tokens in another order are the old ones in that order."""
    draw = np.random.default_rng(0)
    tokens, to_query, to_key = (draw.normal(size=shape) for shape in ((6, 4), (4, 4), (4, 4)))
    order = draw.permutation(6)

    def scores(rows: np.ndarray) -> np.ndarray:
        return np.asarray((rows @ to_query) @ (rows @ to_key).T)

    return bool(np.allclose(scores(tokens[order]), scores(tokens)[np.ix_(order, order)]))


def patches(tools: Tools) -> Facts:
    """Answers of chapter 3."""
    return Facts(
        {
            "exercise_pixels": Number(16 * 16 * 3),
            "exercise_shuffled": Number(1 if _shuffling_changes(tools.vision) else 2),
        }
    )


@torch.inference_mode()
def _shuffling_changes(lesson: VisionLesson) -> bool:
    """Whether the answer of the network without positions changes if patches are shuffled."""
    network = lesson.model.network
    patches = torch.randn(1, network.positions.shape[1] - 1, network.positions.shape[2])
    order = torch.randperm(patches.shape[1], generator=torch.Generator().manual_seed(0))

    def answer(rows: torch.Tensor) -> torch.Tensor:
        return network.head(network.transformer(torch.cat([network.class_token, rows], 1))[:, 0])

    return not torch.allclose(answer(patches), answer(patches[:, order]), atol=1e-4)


def places(tools: Tools) -> Facts:
    """Answers of chapter 4."""
    landscape, lesson = tools.landscape, tools.placed
    random, tiles = (
        _nearest_r2(landscape, folds)
        for folds in (landscape.random_folds(), landscape.tile_folds())
    )
    row, column = SPOT
    return Facts(
        {
            "exercise_memory": Number(1 if random > tiles else 2),
            "exercise_wave": Number(math.sin(2 * math.pi * (WAVE / 4) / WAVE), 1),
            "exercise_lon": Number(float(lesson.lon[column]), 2),
            "exercise_lat": Number(float(lesson.lat[row]), 2),
            "exercise_place": Number(lesson.species(row, column), 1),
        }
    )


def _nearest_r2(landscape: Landscape, folds: np.ndarray) -> float:
    """r2 on held-out plots of the richness of the nearest plot of another fold."""
    places = np.stack([landscape.lon, landscape.lat], axis=1)
    distances = np.linalg.norm(places[:, None] - places, axis=-1)
    distances[folds[:, None] == folds] = np.inf
    errors = landscape.richness[distances.argmin(axis=1)] - landscape.richness
    return float(1 - (errors**2).mean() / landscape.richness.var())


def own_map(tools: Tools) -> Facts:
    """Answers of chapter 5."""
    results = tools.campaign.north.results
    # Choices: between the plots, where random folds test, if these are the nearest; far away.
    distances = {
        split.kind: float(np.nanmedian(results.distances[split.name].held_out))
        for split in results.config.evaluate.splits
    }
    # A site at 0 is AWAY from pixels at these distances.
    pixels, site = np.array(AWAY, float)[:, None], np.zeros((1, 1))
    _, gain = choose(pixels, np.ones(len(AWAY)), np.array(BEFORE, float), site, 1)
    predicted = np.full(len(OBSERVED), CONSTANT)
    return Facts(
        {
            "exercise_r2": Number(scores(OBSERVED, predicted)["r2"], 1),
            "exercise_total": Number(TOTAL),
            "exercise_hit": Number(HIT),
            "exercise_coverage": Number(HIT / TOTAL, percent=True),
            "exercise_width": Number(1 if results.level > HIT / TOTAL else 2),
            "exercise_use": Number(
                1 if min(distances, key=distances.__getitem__) == "random" else 2
            ),
            "exercise_gain": Number(float(gain[0]), percent=True),
        }
    )
