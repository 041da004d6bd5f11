"""`sluice ledger`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipelines.ledger.identity import Part


@click.group()
def command() -> None:
    """Say where the ledger is valid: topic, Kafka cluster, snapshot store, code location.

    Each entry of the ledger names the four. Where one of them is another one now, a run refuses the window. After a
    migration, or where a topic or a store was restored, a person accepts the new one, and says why.

    \b
    Examples:
      sluice ledger accept-topic flight_departed --reason "restored from the backup of 1 March"
      sluice ledger accept-cluster --all --reason "moved to the new cluster with MirrorMaker"
      sluice ledger accept-store --all --reason "snapshots restored to another bucket"
      sluice ledger accept-location --all --reason "installation renamed"
      sluice ledger adopt --all
      sluice ledger report

    They never publish an event, and without --yes or an answer at the terminal they change nothing.
    """


def _selecting(function: Callable[..., None]) -> Callable[..., None]:
    for decorate in reversed(
        (
            click.argument("event", required=False, metavar="[SELECTION]"),
            click.argument("windows", required=False),
            click.option("--all", "everything", is_flag=True, help="Every entry of the ledger."),
            click.option(
                "--by", "requested_by", metavar="WHO", help="Who; by default this user on this machine."
            ),
            click.option(
                "--yes", is_flag=True, help="Do not ask; without a terminal nothing is changed otherwise."
            ),
            click.option("--json", "as_json", is_flag=True, help="One JSON array of windows, for programs."),
        )
    ):
        function = decorate(function)
    return function


def _accept(part: "Part", summary: str) -> None:
    @command.command(f"accept-{part}", short_help=summary, help=_HELP[part])
    @_selecting
    @click.option("--reason", help="Why; kept in the ledger. Required.")
    def accept(
        event: str | None,
        windows: str | None,
        everything: bool,
        requested_by: str | None,
        yes: bool,
        as_json: bool,
        reason: str | None,
    ) -> None:
        from pipelines.cli.actions.ledger import Asked, run

        if not (reason and reason.strip()):
            raise click.UsageError('say why: --reason "moved to the new cluster"')
        run(Asked(part, event, windows, everything, requested_by, reason), yes=yes, as_json=as_json)


_HELP: "dict[Part, str]" = {
    "topic": """Accept the topic of now in the place of one that was deleted, where its records were restored.

    The offsets that the ledger knows were those of the former topic, so they are dropped: `sluice verify` can say nothing
    of what was published before, and does say so. Where the records were not restored, use `sluice replay` instead.""",
    "cluster": """Accept the Kafka cluster of now in the place of the one that the ledger names.

    On a mirrored cluster records have other offsets, so those of the ledger are dropped, unless the topic has the id that
    the ledger names: then it is the same topic.""",
    "store": """Accept the snapshot store of now in the place of the one that the ledger names.

    A snapshot that is not in it is still missing: a correction of its window is refused, as before.""",
    "location": """Accept the code location of now in the place of the one that the ledger names.

    It is part of every transactional id: two installations of different code locations do not fence each other. Stop the
    other one first.""",
}

_accept("topic", "The topic was deleted, and its records restored.")
_accept("cluster", "The cluster was moved or mirrored.")
_accept("store", "The snapshot store was moved or restored.")
_accept("location", "The installation was renamed.")


@command.command("adopt", short_help="Entries of earlier versions: write the ids of now into them.")
@_selecting
def adopt(
    event: str | None,
    windows: str | None,
    everything: bool,
    requested_by: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Write the ids of now into entries of versions before, which name none.

    Without it, an entry gets them when its window is published next. Windows whose topic was made again are left out.
    """
    from pipelines.cli.actions.ledger import Asked, run

    run(Asked(None, event, windows, everything, requested_by, ""), yes=yes, as_json=as_json)


@command.command("report", short_help="Windows that Dagster does not know as published: report them.")
@click.argument("event", required=False, metavar="[SELECTION]")
@click.option("--json", "as_json", is_flag=True, help="One JSON array of windows, for programs.")
def report(event: str | None, as_json: bool) -> None:
    """Report to Dagster the windows that the ledger has as published and Dagster does not know of.

    After Dagster's storage was lost or made anew, and after an upgrade that gave the assets other keys, the pages of the
    assets show them again. Nothing is published, the ledger stays as it is, and windows that Dagster knows are left out.
    """
    from pipelines.cli.actions.ledger_report import run

    run(event, as_json=as_json)
