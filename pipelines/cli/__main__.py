"""`python -m pipelines.cli`: the same as `sluice`, if the script is not installed."""

from pipelines.cli import main

main()
