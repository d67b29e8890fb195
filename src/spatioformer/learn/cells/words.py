"""Code of the notebook of chapter 1, in cells: see learn/notebooks.py."""

from spatioformer.learn.lesson import Lesson

lesson = Lesson("words")

# %% setup
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from spatioformer.text.trace import trace_text
from spatioformer.text.vectors import model_vectors

encoder = lesson.tools.encoder  # MiniLM
vectors = lesson.tools.words  # wordllama
spanish = lesson.tools.spanish  # None: sword-text-sparv

# %% figure pieces_english
# es: Cambie la frase y ejecute otra vez.
# en: Change the sentence and run it again.
sentence = "The brown fox jumped over the lazy dog"
ids = encoder.tokenizer.encode(sentence)
pd.DataFrame([ids, [encoder.tokenizer.show(i) for i in ids]], index=["id", "token"])

# %% figure pieces_foreign
sentence = "El zorro café saltó sobre el perro flojo"
ids = encoder.tokenizer.encode(sentence)
pd.DataFrame([ids, [encoder.tokenizer.show(i) for i in ids]], index=["id", "token"])

# %% figure pieces_spanish
if spanish:
    tokenizer = spanish.model.tokenizer
    spanish_vocabulary = len(tokenizer)
    print(f"{spanish_vocabulary = }")
    print([tokenizer.show(i) for i in tokenizer.encode(sentence)])

# %% values
embedding = encoder.network.embedding.weight.detach().numpy().T  # d x V
encoder_width, encoder_vocabulary = embedding.shape
encoder_matrix = embedding.size
print(f"{encoder_vocabulary = }, {encoder_width = }, {encoder_matrix = }")

# %% figure matrix
words = ["king", "queen", "tree", "forest", "water", "rain"]
columns = np.stack([vectors.directions[vectors.row(word)] for word in words], axis=1)
pd.DataFrame(columns[:12], columns=words).round(2)


# %% values
def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


king, queen, tree = (vectors.directions[vectors.row(word)] for word in ("king", "queen", "tree"))
cosine_queen, cosine_tree = cosine(king, queen), cosine(king, tree)
print(f"{cosine_queen = :.2f}, {cosine_tree = :.2f}")

# %% figure neighbours
for word in ("tree", "plant", "water", "king", "flor"):
    if word in vectors.rows:
        nearest = vectors.neighbours(word, 4)
        print(word, "→", ", ".join(f"{other} {share:.2f}" for other, share in nearest))

# %% values
vectors_count, vectors_width = vectors.directions.shape
print(f"{vectors_count = }, {vectors_width = }")

# %% figure spanish_neighbours
if spanish:
    spanish_vectors = model_vectors(spanish.model, "the Spanish model")
    for word in ("hijo", "David", "padre", "agua", "árbol"):
        if word in spanish_vectors.rows:
            nearest = spanish_vectors.neighbours(word, 4)
            print(word, "→", ", ".join(f"{other} {share:.2f}" for other, share in nearest))

# %% figure capitals
pairs = [("France", "Paris"), ("Germany", "Berlin"), ("Spain", "Madrid"), ("England", "London")]
steps_to_capitals = [
    vectors.directions[vectors.row(capital)] - vectors.directions[vectors.row(country)]
    for country, capital in pairs
]
names = [f"{capital} − {country}" for country, capital in pairs]
table = [[cosine(a, b) for b in steps_to_capitals] for a in steps_to_capitals]
pd.DataFrame(table, index=names, columns=names).round(2)

# %% figure analogies
# es: Agregue preguntas suyas: palabra − menos + más, y la respuesta.
# en: Add questions of yours: word − minus + plus, and the answer.
questions = [
    ("king", "man", "woman", "queen"),
    ("brother", "man", "woman", "sister"),
    ("father", "man", "woman", "mother"),
    ("Paris", "France", "Italy", "Rome"),
    ("Paris", "France", "Germany", "Berlin"),
    ("Berlin", "Germany", "Spain", "Madrid"),
    ("bigger", "big", "small", "smaller"),
    ("walked", "walk", "play", "played"),
    ("cars", "car", "dog", "dogs"),
    ("padre", "hombre", "mujer", "madre"),
]
ranks = [vectors.rank(*question) for question in questions]
analogies = len(questions)
analogies_first = sum(rank == 1 for rank in ranks)
analogies_ten = sum(rank <= 10 for rank in ranks)
queen_rank = ranks[0]
print(f"{analogies = }, {analogies_first = }, {analogies_ten = }, {queen_rank = }")
pd.DataFrame(questions, columns=["word", "minus", "plus", "answer"]).assign(rank=ranks)


# %% figure by_hand
def softmax(logits, temperature=1.0):
    weights = np.exp(np.asarray(logits) / temperature)
    return weights / weights.sum()


for temperature in (0.5, 1.0, 2.0):
    print(temperature, softmax([2.0, 1.0, 0.0], temperature).round(3))

# %% values
if spanish:
    prompt = "En el principio crió Dios los cielos y la"
    likeliest, likeliest_share = spanish.model.next(prompt, 1)[0]
    print(f"{prompt = }, {likeliest = }, {likeliest_share = :.1%}")

# %% figure temperature
if spanish:
    temperature = 1.0
    logits = trace_text(spanish.model, prompt).trace["logits"][-1].astype(float)
    shares = softmax(logits, temperature)
    for i in np.argsort(-shares)[:8]:
        print(f"{spanish.model.tokenizer.show(i):>12} {shares[i]:.1%}")

# %% figure hidden
if spanish:
    words = ["El", "rey", "de", "los", "hijos", "de"]
    for i in range(len(words)):
        shorter = " ".join(words[:i] + words[i + 1 :])
        print(f"{shorter} → {spanish.model.next(shorter, 3)}")

# %% values
if spanish:
    perplexity, baseline = (spanish.scores[k] for k in ("perplexity", "baseline_perplexity"))
    spanish_parameters = sum(p.numel() for p in spanish.model.network.parameters())
    spanish_width = spanish.model.network.config["width"]
    steps = int(spanish.rows[-1]["step"])
    print(f"{perplexity = :.1f}, {baseline = :.1f}, {steps = }")
    print(f"{spanish_parameters = }, {spanish_width = }")

# %% figure training
if spanish:
    curve = pd.DataFrame(spanish.rows)
    plt.plot(curve["step"], curve["perplexity"], "o-")
    plt.axhline(baseline, ls="--")
    plt.ylim(0)

# %% values
exercise_size = 64 * 10_000
print(f"{exercise_size = }")

# %% values
third = softmax([1.0, 1.0, 1.0])[0]
print(f"{third = :.1%}")
