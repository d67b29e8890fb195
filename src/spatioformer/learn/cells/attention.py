"""Code of the notebook of chapter 2, in cells: see learn/notebooks.py."""

from spatioformer.learn.lesson import Lesson

lesson = Lesson("attention")

# %% setup
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from spatioformer.learn.chapters.sentences import BANCO, BANK
from spatioformer.text.senses import compare
from spatioformer.text.trace import trace_text

encoder = lesson.tools.encoder  # MiniLM
spanish = lesson.tools.spanish  # None: sword-text-sparv


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


# %% figure sentences
pd.DataFrame([(sense.label, sense.sentence) for sense in BANK], columns=["sense", "sentence"])

# %% values
first, last = (trace_text(encoder, BANK[i].sentence) for i in (0, -1))
bank_embedding = cosine(*(t.trace["embedding"][t.tokens.index("bank")] for t in (first, last)))
print(f"{bank_embedding = :.3f}")

# %% figure bank
bank = compare(encoder, "bank", BANK)
bank_within, bank_between = bank.within_and_between()
bank_agreeing, bank_count = bank.agreeing(), len(BANK)
print(f"{bank_within = :.3f}, {bank_between = :.3f}, {bank_agreeing = }, {bank_count = }")
for label in ("money", "river"):
    rows = [i for i, sense in enumerate(BANK) if sense.label == label]
    plt.plot(*bank.plane[rows].T, "o", label=label)
plt.legend()

# %% values
banco = compare(encoder, "banco", BANCO)
banco_within, banco_between = banco.within_and_between()
banco_agreeing, banco_count = banco.agreeing(), len(BANCO)
print(f"{banco_within = :.3f}, {banco_between = :.3f}, {banco_agreeing = }, {banco_count = }")

# %% values
# es: Cambie las frases; el sustantivo debe estar en las dos.
# en: Change the sentences; the noun must be in both.
sentence = "the brown fox jumped over the lazy dog"
plain = "the fox jumped over the dog"
print(f"{sentence = }, {plain = }")

# %% figure moved
traced, shorter = trace_text(encoder, sentence), trace_text(encoder, plain)
for layer in range(1, traced.trace.layers + 1):
    name = f"layer{layer}.output"
    for noun in ("fox", "dog"):
        with_adjective = traced.trace[name][traced.tokens.index(noun)]
        without = shorter.trace[name][shorter.tokens.index(noun)]
        print(f"{layer} {noun} {cosine(with_adjective, without):.3f}", end="   ")
    print()

# %% figure queries_keys
layer, head = 1, 5
tokens = len(traced.tokens)
Q, K = (traced.trace[f"layer{layer}.{part}"][head - 1] for part in ("queries", "keys"))
head_width = Q.shape[1]
print(f"{layer = }, {head = }, {head_width = }, {tokens = }")
pd.DataFrame(Q[:, :8], index=traced.tokens).round(2)

# %% values
fox, brown = (traced.tokens.index(word) for word in ("fox", "brown"))
product = Q[fox] @ K[brown]
score = product / np.sqrt(head_width)
print(f"{product = :.2f}, {score = :.2f}")

# %% figure scores
scores = Q @ K.T / np.sqrt(head_width)
pd.DataFrame(scores, traced.tokens, traced.tokens).round(1)

# %% figure pattern
weights = np.exp(scores - scores.max(axis=1, keepdims=True))
pattern = weights / weights.sum(axis=1, keepdims=True)
plt.imshow(pattern)
plt.xticks(range(tokens), traced.tokens, rotation=60)
plt.yticks(range(tokens), traced.tokens)
plt.colorbar()

# %% values
dog, lazy = (traced.tokens.index(word) for word in ("dog", "lazy"))
weight, dog_weight = pattern[fox, brown], pattern[dog, lazy]
print(f"{weight = :.1%}, {dog_weight = :.1%}")

# %% figure scaling
draw = np.random.default_rng(0)
keys, queries = 10, 2000
rows = []
for width in (1, 4, 16, 64, 256):
    q, k = draw.standard_normal((queries, 1, width)), draw.standard_normal((queries, keys, width))
    row = {"d": width}
    for name, values in (("plain", (q * k).sum(2)), ("scaled", (q * k).sum(2) / width**0.5)):
        shares = np.exp(values - values.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        row |= {f"variance, {name}": values.var(), f"largest, {name}": shares.max(axis=1).mean()}
    rows.append(row)
measured = pd.DataFrame(rows).set_index("d")
measured.round(2)

# %% figure saturation
plain_large, scaled_large = (measured[f"largest, {name}"].iloc[-1] for name in ("plain", "scaled"))
print(f"{keys = }, {plain_large = :.0%}, {scaled_large = :.0%}")
plt.semilogx(measured[["largest, plain", "largest, scaled"]], "o-", base=2)

# %% figure causal
if spanish:
    beginning, continued = "El zorro", "El zorro café"
    before, after = (trace_text(spanish.model, text) for text in (beginning, continued))
    output = before.trace["output"]
    change = np.abs(after.trace["output"][: len(output)] - output).max() / np.abs(output).max()
    print(f"{beginning = }, {continued = }, {change = :.3%}")
    whole = trace_text(spanish.model, "El zorro café saltó sobre el perro flojo")
    plt.imshow(whole.trace["layer1.pattern"][0])

# %% figure heads
weights_of_all = np.stack(
    [traced.trace[f"layer{i}.pattern"] for i in range(1, traced.trace.layers + 1)]
)  # layers x heads x tokens x tokens
layers, heads = weights_of_all.shape[:2]
all_heads = layers * heads
print(f"{layers = }, {heads = }, {all_heads = }")
figure, grid = plt.subplots(layers, heads, figsize=(9, 0.8 * layers), squeeze=False)
for axes, head_pattern in zip(grid.flat, weights_of_all.reshape(-1, tokens, tokens), strict=True):
    axes.imshow(head_pattern)
    axes.axis("off")


# %% values
def strongest(shares):
    place = np.unravel_index(shares.argmax(), shares.shape)
    return place[0] + 1, place[1] + 1, shares.max()


previous = np.diagonal(weights_of_all, -1, 2, 3).mean(axis=-1)
following = np.diagonal(weights_of_all, 1, 2, 3).mean(axis=-1)
previous_layer, previous_head, previous_weight = strongest(previous)
following_layer, following_head, following_weight = strongest(following)
cls_layer, cls_head, cls_weight = strongest(weights_of_all[..., 0].mean(axis=-1))
print(f"{previous_layer = }, {previous_head = }, {previous_weight = :.0%}")
print(f"{following_layer = }, {following_head = }, {following_weight = :.0%}")
print(f"{cls_layer = }, {cls_head = }, {cls_weight = :.0%}")

# %% values
width, inside = (encoder.network.config[key] for key in ("width", "mlp_hidden"))
attention_numbers, mlp_numbers = 4 * width * width, 2 * width * inside
print(f"{width = }, {inside = }, {attention_numbers = }, {mlp_numbers = }")

# %% figure stream
lengths = [
    [
        np.linalg.norm(traced.trace[f"layer{i}.{part}"], axis=1).mean()
        for part in ("input", "attention", "mlp")
    ]
    for i in range(1, layers + 1)
]
pd.DataFrame(lengths, columns=["input", "attention", "mlp"]).round(2)
