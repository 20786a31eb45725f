"""Trees of parameters as people have them: what is a branch, what is a leaf, and which leaves are parameters.

JAX and PyTorch are asked about their own kinds only where they were imported before: whoever has such a tree has them.
"""
