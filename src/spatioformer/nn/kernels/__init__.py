"""Kernels for one core, compiled by numba on first use: numpy arrays in, numpy arrays out.

`LANES` chips travel together, one in each lane of a vector: such a group is a pack. A kernel sees
tokens as (packs, tokens, width, LANES), flat, so that every step but the weights' gradients is the
same instruction on all chips of the pack, and nothing is padded but the last pack.

simd.py has the vectors, parts.py what the kernels share, mlp.py and attention.py the two halves of
a post-norm transformer block. dispatch.py decides when a network uses them, and calls them.

Compiled code is kept beside the source or, where that cannot be written, in the user's cache
folder. numba looks at a kernel's own file for changes: after editing simd.py or parts.py, delete
`__pycache__`.
"""
