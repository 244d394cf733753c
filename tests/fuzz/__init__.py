"""Fuzzing of the XML edge: mutated messages on the way that production takes.

`python -m tests.fuzz` is the long mode, `test_fuzz.py` a fixed selection of it.
"""
