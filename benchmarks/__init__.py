"""Measurements of Sluice, each a program of its own: `python -m benchmarks.compare`, `python benchmarks/memory.py`."""
