"""Measurements of Sluice, each its own program:
`python -m benchmarks.compare`, `python benchmarks/memory.py`."""
