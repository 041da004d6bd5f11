"""The first two steps of a window, without Dagster: sourced and transformed.
The third is `pipelines.publishing`."""
