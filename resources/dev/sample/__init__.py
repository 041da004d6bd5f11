"""A warehouse for a first look and for tests: the flights that left New York in 2013,
with all traps of the data."""

from resources.dev.sample.nycflights import SampleError, build_sample_warehouse

__all__ = ["SampleError", "build_sample_warehouse"]
