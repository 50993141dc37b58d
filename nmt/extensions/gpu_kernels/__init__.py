"""Kernels for training on a GPU: attention over short sentences, and layer norm with the residual's gradient."""
