"""The command line. A command's module is loaded only when that command runs, so help is shown at once."""


def main() -> None:
    """Entry point of the `sluice` script and of `python -m pipelines.cli`."""
    from pipelines.cli.output.stdout_guard import end_own_stdout, own_stdout
    from resources.process.start import begin_process

    own_stdout()
    begin_process()
    from pipelines.cli.root import sluice

    try:
        sluice(prog_name="sluice")
    finally:
        end_own_stdout()
