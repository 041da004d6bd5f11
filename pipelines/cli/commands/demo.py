"""`sluice demo`."""

import click


@click.command()
def command() -> None:
    """See it work, from nothing: about a minute the first time.

    Starts the embedded broker and registry, builds the sample warehouse (flights that left New York in 2013),
    publishes the first week of 2013 of every event through Dagster, and reads a few events of each topic back
    with an ordinary consumer. Run it again: every event is on its topic, so nothing is published.

    \b
    Example:
      sluice demo

    It publishes only to servers that Sluice started itself, never to a Kafka of yours.
    """
    from pipelines.cli.actions.demo import run

    run()
