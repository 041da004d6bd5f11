"""`python -m pipelines.cli`: the same as `sluice`, where the script is not installed."""

from pipelines.cli import main

main()
