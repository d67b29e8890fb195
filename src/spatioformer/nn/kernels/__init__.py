"""Kernels for one core, compiled by numba at first use: numpy arrays in, numpy arrays out.

A pack is a group of `LANES` chips, one in each lane of a vector. A kernel takes tokens as a flat
array of (packs, tokens, width, LANES). Every step except the weights' gradients is therefore one
instruction for all chips of the pack, and only the last pack needs padding.

simd.py has the vectors, parts.py what the kernels share, mlp.py and attention.py the two halves of
a post-norm transformer block. dispatch.py decides when a network uses them, and calls them.

numba stores compiled code beside the source, or in the user's cache folder where the source folder
is read-only. It compiles again only when the file of the kernel itself changes: after editing
simd.py or parts.py, delete `__pycache__`.
"""
