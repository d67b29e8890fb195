"""Time and memory of a fit of the Gaussian process or the stack to many plots: docs/models.md.

    python -m benchmarks.process_scale 68170
    python -m benchmarks.process_scale 5000 --model stack

The plots are made: clusters on a continent, ten features, counts of plots of several areas.
"""

import argparse
import resource
import time

import numpy as np
from threadpoolctl import threadpool_limits

from spatioformer.models.baselines import ClosedFormStack, GaussianProcess

FEATURES, CLUSTERS = 10, 400
MODELS = {"process": GaussianProcess, "stack": ClosedFormStack}


def plots(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Log10 area, FEATURES smooth features, lon and lat; counts."""
    rng = np.random.default_rng(0)
    centres = rng.uniform([115, -38], [150, -15], (CLUSTERS, 2))
    places = centres[rng.integers(CLUSTERS, size=count)] + rng.normal(size=(count, 2))
    waves = rng.normal(size=(2, FEATURES)) / 4
    features = np.sin(places @ waves + rng.uniform(0, 6, FEATURES)) + 0.5 * rng.normal(
        size=(count, FEATURES)
    )
    area = rng.choice([2.0, 2.6, 3.0, 4.0], count)
    mean = np.exp(0.5 + 0.6 * area + 0.3 * features[:, 0] + 0.2 * np.sin(places[:, 0]))
    y = rng.poisson(mean * rng.gamma(10, 0.1, count))
    return np.column_stack([area, features, places]), y.astype(float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--model", choices=MODELS, default="process")
    parser.add_argument("--threads", type=int, default=1, help="1 as in a run")
    args = parser.parse_args()
    X, y = plots(args.count + 2000)
    wall, cpu = time.perf_counter(), time.process_time()
    with threadpool_limits(args.threads):
        model = MODELS[args.model](effort=0).fit(X[: args.count], y[: args.count])
        fitted = time.process_time()
        wall = time.perf_counter() - wall
        out = model.predict(X[args.count :])
    per_plot = (time.process_time() - fitted) / 2000
    r2 = 1 - np.mean((out - y[args.count :]) ** 2) / np.var(y[args.count :])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{args.model}, {args.count} plots: fit {fitted - cpu:.0f} s of processor time, "
        f"{wall:.0f} s on the clock, peak {peak:.2f} GiB; prediction {1e6 * per_plot:.0f} us a "
        f"plot, r2 {r2:.3f}"
    )


if __name__ == "__main__":
    main()
