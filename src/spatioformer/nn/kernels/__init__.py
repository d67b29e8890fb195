"""Kernels for one core, compiled by numba at first use: numpy arrays in, numpy arrays out.

A pack is a group of `LANES` chips, one in each lane of a vector. A kernel takes tokens as a flat
array of (packs, tokens, width, LANES). Every step except the weights' gradients is therefore one
instruction for all chips of the pack, and only the last pack needs padding.

The dense network has a kernel of its own, whose lanes are neighbouring pixels: rows.py, the sines
of its location waves.py, and tiles.py, which decides when the network uses it.

simd.py has the vectors, parts.py what the kernels share, mlp.py and attention.py the two halves of
a post-norm transformer block, pre_norm.py those of a pre-norm block. dispatch.py and blocks.py
decide when a network uses them, and call them.

The kernels of a half of a block come in pairs, and their arguments mean the same everywhere:

    dropped: dropout rate as a number of 65536; `key`, uint32 (2,), fixes the dropout.
    gain, shift, eps: of LayerNorm; (D,), (D,) and a number.

The backward kernel computes all gradients from that of the forward kernel's `out`. It takes the
arguments of the forward kernel that it needs, and these arrays:

    x_gradient: shaped as x, written.
    gradients of matrices: shaped as the matrix, added to.
    gradients of vectors (n,), biases, gain and shift: (n, L), added to, one sum for each lane.

numba stores compiled code beside the source, or in the user's cache folder where the source folder
is read-only. It compiles again only when the file of the kernel itself changes: after editing
simd.py, parts.py or what pre_norm.py takes of attention.py, delete `__pycache__`.
"""
