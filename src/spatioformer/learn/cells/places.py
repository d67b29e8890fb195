"""Code of the notebook of chapter 4, in cells: see learn/notebooks.py."""

from spatioformer.learn.lesson import Lesson

lesson = Lesson("places")

# %% setup
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from spatioformer.nn.geolocation import Sinusoids, SphereWaves

landscape = lesson.tools.landscape

# %% figure species
# es: Cambie las especies y mire qué pasa con beta.
# en: Change the species and see what happens to beta.
plots_by_hand = {
    "A": {"roble", "coihue", "quila", "maqui"},
    "B": {"roble", "coihue", "arrayán"},
    "C": {"tepú", "ciprés", "coihue", "junco", "canelo"},
}
pd.Series({plot: len(species) for plot, species in plots_by_hand.items()}, name="richness")

# %% values
alpha = np.mean([len(species) for species in plots_by_hand.values()])
gamma = len(set.union(*plots_by_hand.values()))
beta = gamma / alpha
print(f"{alpha = :.1f}, {gamma = }, {beta = :.2f}")

# %% figure pair
plots = len(landscape.richness)
spectra = landscape.reflectances  # standardised
first, second = np.triu_indices(plots, 1)
distance = np.linalg.norm(spectra[first] - spectra[second], axis=1)
difference = np.abs(landscape.richness[first] - landscape.richness[second])
pairs = 100
most_alike = np.argsort(distance, kind="stable")[:pairs]
worst = most_alike[difference[most_alike].argmax()]
both = [first[worst], second[worst]]
pd.DataFrame(landscape.bands[both], columns=landscape.names).assign(
    richness=landscape.richness[both]
)

# %% values
alike, all_pairs = difference[most_alike].mean(), difference.mean()
print(f"{plots = }, {pairs = }, {alike = :.1f}, {all_pairs = :.1f}")

# %% figure likeness
# es: Otro lugar: longitud y latitud. Otras longitudes de onda, en grados.
# en: Another place: longitude and latitude. Other wavelengths, in degrees.
place = torch.tensor([178.0]), torch.tensor([-18.0])
wavelengths = (220.0, 110.0)


def likeness(encoder, lon, lat):
    here, there = encoder(*place)[0].numpy(), encoder(lon, lat).numpy()
    return there @ here / np.linalg.norm(there, axis=-1) / np.linalg.norm(here)


lon, lat = torch.meshgrid(
    torch.linspace(-180, 180, 181), torch.linspace(90, -90, 91), indexing="xy"
)
figure, grid = plt.subplots(2, 1)
for axes, encoder in zip(grid, (Sinusoids(wavelengths), SphereWaves(wavelengths)), strict=True):
    axes.imshow(likeness(encoder, lon, lat), extent=(-180, 180, -90, 90), vmin=-1, vmax=1)
    axes.plot(*(float(degrees[0]) for degrees in place), "o")

# %% values
beyond = torch.tensor([-178.0]), torch.tensor([-18.0])
beyond_plane = likeness(Sinusoids(wavelengths), *beyond)[0]
beyond_sphere = likeness(SphereWaves(wavelengths), *beyond)[0]
print(f"{beyond_plane = :.2f}, {beyond_sphere = :.2f}")

# %% figure folds
figure, grid = plt.subplots(1, 2, sharey=True)
for axes, folds in zip(grid, (landscape.random_folds(), landscape.tile_folds()), strict=True):
    axes.scatter(landscape.lon, landscape.lat, c=folds, s=9, cmap="tab10")

# %% figure validation
r2 = pd.DataFrame(
    {
        name: [landscape.r2(folds, location=location) for location in (True, False)]
        for name, folds in (("random", landscape.random_folds()), ("tiles", landscape.tile_folds()))
    },
    index=["with location", "without"],
)
r2.round(2)

# %% values
lost = r2["random"].iloc[0] - r2["tiles"].iloc[0]
gained_random, gained_tiles = r2.iloc[0] - r2.iloc[1]
print(f"{lost = :.2f}, {gained_random = :.2f}, {gained_tiles = :.2f}")

# %% values
exercise_gamma = 10 + 10 - 5
exercise_beta = exercise_gamma / 10
print(f"{exercise_gamma = }, {exercise_beta = :.1f}")
