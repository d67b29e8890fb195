"""Text: corpora, tokenizers, training, word vectors, attention and senses.

The networks are `spatioformer.nn.GPT` and `spatioformer.nn.TextEncoder`; this package gives them
words to read. `corpus` and `sword` find text, `tokenizer` cuts it, `training` learns from it, and
`model` keeps network and tokenizer together; `vectors` and `senses` ask what was learnt, `pictures`
and `terminal` show it.
"""
