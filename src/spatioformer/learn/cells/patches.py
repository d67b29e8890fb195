"""Code of the notebook of chapter 3, in cells: see learn/notebooks.py."""

from spatioformer.learn.lesson import Lesson

lesson = Lesson("patches")

# %% setup
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from spatioformer.nn.positions import sinusoids
from spatioformer.vision.trace import trace_image

model, images = lesson.tools.vision.model, lesson.tools.vision.held_out
# es: Cambie el número: otra imagen.
# en: Change the number: another image.
number = 3
traced = trace_image(model, images[number : number + 1])

# %% figure cutting
patch = model.network.config["patch"]
side = traced.pixels.shape[1]
patches = (side // patch) ** 2
print(f"{side = }, {patch = }, {patches = }")
figure, grid = plt.subplots(1, patches, figsize=(9, 1))
for i, axes in enumerate(grid):
    y, x = divmod(i, side // patch)
    part = traced.pixels[0, y * patch : (y + 1) * patch, x * patch : (x + 1) * patch]
    axes.imshow(part, cmap="gray", vmin=0, vmax=1)
    axes.axis("off")

# %% figure shapes
for name in ("image", "patches", "embedding", "input", "output", "outputs"):
    print(name, traced.trace[name].shape)

# %% values
pixels = traced.trace["patches"].shape[1]
width = traced.trace["embedding"].shape[1]
sequence = len(traced.trace["input"])
print(f"{pixels = }, {width = }, {sequence = }")

# %% figure sinusoids
plt.imshow(sinusoids(24, 32).numpy(), cmap="RdBu_r")
plt.colorbar()

# %% figure positions
learned = traced.trace["positions"][1:]
fixed = sinusoids(*learned.shape).numpy()
columns = side // patch
for name, vectors in (("learned", learned), ("sinusoidal", fixed)):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    y, x = np.divmod(np.arange(patches), columns)
    steps = np.abs(y[:, None] - y) + np.abs(x[:, None] - x)
    print(name, f"{cosines[steps == 1].mean():.2f} {cosines[steps > 1].mean():.2f}")

# %% figure looks
layers = traced.trace.layers
figure, grid = plt.subplots(1, layers + 1, figsize=(9, 2))
grid[0].imshow(traced.pixels[0], cmap="gray")
for i in range(layers):
    class_token = traced.trace[f"layer{i + 1}.pattern"][:, 0, 1:].mean(axis=0)
    grid[i + 1].imshow(class_token.reshape(columns, columns))

# %% figure answer
pd.Series(traced.answer, index=traced.labels).sort_values(ascending=False).head(3).round(3)

# %% values
held_out = len(images)
accuracy = (model.predict(images).argmax(axis=1) == images.targets).mean()
print(f"{held_out = }, {accuracy = :.1%}")

# %% values
exercise_tokens = (224 // 16) ** 2 + 1
print(f"{exercise_tokens = }")

# %% values
exercise_times = ((224 // 8) ** 2 + 1) ** 2 / exercise_tokens**2
print(f"{exercise_times = :.0f}")
