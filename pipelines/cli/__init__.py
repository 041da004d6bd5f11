"""The command line. A command's own module is loaded when that command runs, so help answers at once."""

import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parent.parent.parent)


def main() -> None:
    """Entry point of the `sluice` script and of `python -m pipelines.cli`."""
    # The three packages have common names: what is imported from here on must be this project's.
    if sys.path[:1] != [_ROOT]:
        sys.path.insert(0, _ROOT)
    from pipelines.cli.root import sluice

    sluice(prog_name="sluice")
