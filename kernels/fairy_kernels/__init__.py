"""Attention kernels of the Fairy method. They work on tensors and do not know diffusers.

`reference.py` is the specification; `testing.py` has the inputs and the error limit for tests.
"""
