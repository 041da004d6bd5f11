"""The first two steps of a window, free of Dagster: sourced and transformed. The third is `pipelines.publishing`."""
