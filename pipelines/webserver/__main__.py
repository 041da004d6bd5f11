"""The guarded web server as a process: with `dagster-webserver`'s options,
or `dev` and the options of `dagster dev`."""

import signal
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path


def main() -> None:
    """Run what the arguments say."""
    # Use this tree's packages, whatever folder the process is started in.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from resources.process.start import begin_process

    begin_process()
    from pipelines.webserver.serving import develop, serve
    from resources.errors import SluiceError

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So it is in the background of a script.
        # Dagster handles SIGTERM like SIGINT, so otherwise nothing would stop the server.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if sys.argv[1:2] == ["dev"]:
            develop(sys.argv[2:])
        else:
            serve(sys.argv[1:])
    except SluiceError as error:
        sys.exit(str(error))


def instead_of_dagsters() -> None:
    """The script `dagster-webserver`: Dagster's command with the guard,
    and a warning if other machines can reach the port."""
    from resources.process.start import begin_process

    begin_process()
    import click

    from pipelines.webserver.exposure import exposure_warning
    from pipelines.webserver.serving import parsed, serve
    from resources.errors import SluiceError

    # Dagster's command itself reports what is wrong with the options.
    with suppress(click.UsageError, click.exceptions.Exit), redirect_stdout(None):
        asked = parsed(sys.argv[1:])
        if warning := exposure_warning(asked.host, asked.read_only):
            print(warning, file=sys.stderr)
    try:
        serve(sys.argv[1:])
    except SluiceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
