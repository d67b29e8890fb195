"""Text: corpora, tokenizers, training, word vectors, attention and senses.

The networks are `spatioformer.nn.GPT` and `spatioformer.nn.TextEncoder`; this package provides
their data and tools. `corpus` and `sword` read text, `tokenizer` converts it to tokens, `training`
trains, and `model` saves and loads a network with its tokenizer. `vectors` and `senses` analyse
word vectors; `pictures`, `curve` and `terminal` show results.
"""
