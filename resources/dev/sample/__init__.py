"""A warehouse to look at and to test with: the flights that left New York in 2013, with all their traps."""

from resources.dev.sample.nycflights import SampleError, build_sample_warehouse

__all__ = ["SampleError", "build_sample_warehouse"]
