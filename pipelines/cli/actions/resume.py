"""The work of `sluice resume`."""

from pipelines.cli.runs.control import order_runs


def run(run_or_event: str) -> None:
    """The command; its help explains the argument."""
    order_runs(run_or_event, "resume")
