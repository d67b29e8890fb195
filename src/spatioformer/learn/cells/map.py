"""Code of the notebook of chapter 5, in cells: see learn/notebooks.py."""

from spatioformer.learn.lesson import Lesson

lesson = Lesson("map")

# %% setup
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

# es: Aquí se ejecutan las órdenes del capítulo; la primera vez toma medio minuto.
# en: Here the commands of the chapter run; the first time takes half a minute.
campaign = lesson.tools.campaign
north = campaign.north
results, mapped = north.results, north.mapped

# %% figure plots
campaign.table.head(4)

# %% values
plots = len(campaign.table)
southernmost = 39.5  # degrees south
print(f"{plots = }, {southernmost = :.1f}")

# %% figure prediction
plt.imshow(np.where(mapped, results.mean.values, np.nan))
plt.colorbar()

# %% figure scores
for split in results.config.evaluate.splits:
    far = np.nanmedian(results.distances[split.name].held_out) / 1000
    r2_of = {model: round(results.r2(model, split), 2) for model in results.models}
    print(split.name, f"{far:.0f} km", r2_of)

# %% values
map_far = np.median(results.map_distance) / 1000
judged = results.judged.name
print(f"{map_far = :.0f} km, {judged = }")

# %% values
observed = np.array([20, 30, 40])
sst = ((observed - observed.mean()) ** 2).sum()
print(f"{sst = :.0f}")

# %% figure by_hand
# es: Cambie lo predicho: ¿cuándo es r2 negativo?
# en: Change what is predicted: when is r2 negative?
for predicted in ([22, 29, 41], [30, 30, 30], [40, 30, 20]):
    sse = ((observed - np.array(predicted)) ** 2).sum()
    print(predicted, sse, 1 - sse / sst)

# %% values
worst_r2 = results.r2(results.models_mapped_first[-1], results.judged)
print(f"{worst_r2 = :.2f}")

# %% values
visited = mapped & (results.mean.lonlat[1] > -southernmost)
richest = np.unravel_index(np.where(visited, north.truth, -np.inf).argmax(), mapped.shape)
lower, upper = north.ends
rich_mean, rich_truth = results.mean.values[richest], north.truth[richest]
rich_lower, rich_upper = lower[richest], upper[richest]
print(f"{rich_mean = :.0f}, {rich_lower = :.0f}, {rich_upper = :.0f}, {rich_truth = :.0f}")

# %% values
level, level_count = results.level, 100 * results.level
print(f"{level = :.0%}")

# %% figure intervals
plt.imshow(np.where(mapped, upper - lower, np.nan))
plt.colorbar()

# %% figure trust
plt.imshow(np.where(mapped, north.error, np.nan))
plt.contour(north.outside, [0.5])

# %% figure inside
rows = {"inside": north.inside, "outside": north.outside}
land = north.areas / north.areas[mapped].sum()
measured = {
    name: [land[where].sum(), north.error[where].mean(), north.covered[where].mean()]
    for name, where in rows.items()
    if where.any()
}
pd.DataFrame(measured, index=["land", "error", "coverage"]).T.round(2)

# %% values
new_plots, new_coverage = mapped.sum(), north.covered[mapped].mean()
print(f"{new_plots = }, {new_coverage = :.0%}")

# %% figure sites
campaign.sites[["site", "lon", "lat", "total_gain"]].head().round(2)

# %% values
sites, total_gain = len(campaign.sites), campaign.sites["total_gain"].iloc[-1]
print(f"{sites = }, {total_gain = :.0%}")

# %% values
more = campaign.more
narrower = 1 - more.width[mapped].mean() / north.width[mapped].mean()
print(f"{narrower = :.0%}")

# %% figure after
runs = {"north": campaign.north, "more": campaign.more, "random": campaign.random}
compared = {
    name: [run.width[mapped].mean(), run.error[mapped].mean(), run.covered[mapped].mean()]
    for name, run in runs.items()
}
pd.DataFrame(compared, index=["width", "error", "coverage"]).T.round(2)

# %% values
observed, predicted = np.array([10, 20, 30]), 30
sse, sst_of_these = ((observed - predicted) ** 2).sum(), ((observed - observed.mean()) ** 2).sum()
exercise_r2 = 1 - sse / sst_of_these
print(f"{exercise_r2 = :.1f}")

# %% values
exercise_total, exercise_hit = 80, 60
print(f"{exercise_total = }, {exercise_hit = }")

# %% values
exercise_coverage = exercise_hit / exercise_total
print(f"{exercise_coverage = :.0%}")

# %% values
before, distances = np.array([2, 1]), np.array([1, 3])
exercise_gain = np.maximum(0, before**2 - distances**2).sum() / (before**2).sum()
print(f"{exercise_gain = :.0%}")
