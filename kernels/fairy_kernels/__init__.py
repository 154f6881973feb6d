"""Attention kernels of the Fairy method: tensors only, nothing of diffusers.

`reference.py` is the specification; `testing.py` holds what every test of a kernel needs.
"""
