"""The command line. A command's own module is loaded when that command runs, so help answers at once."""


def main() -> None:
    """Entry point of the `sluice` script and of `python -m pipelines.cli`."""
    from pipelines.cli.root import sluice

    sluice(prog_name="sluice")
