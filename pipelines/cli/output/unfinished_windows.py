"""Windows whose newest run was blocked or failed, as commands report them."""

from collections.abc import Sequence

import click

from pipelines.cli.output.tables import shown
from pipelines.ledger.unfinished_windows import Unfinished
from resources.wording import headline

_MOST = 10


def tell_unfinished(found: Sequence[Unfinished], *, published: Sequence[tuple[str, str]] = ()) -> None:
    """Print a line for each, and the next command.
    `published`: (event, window) of those that have a ledger entry."""
    if not found:
        return
    on_topic = set(published)
    click.echo()
    for one in found[:_MOST]:
        before = "; an earlier run published this window" if (one.event, one.window) in on_topic else ""
        click.echo(
            f"{one.event} {one.window} {click.style(one.state, fg='red')} at {one.at.replace('+00:00', 'Z')} "
            f"(run {one.run_id[:8]}): {shown(headline(one.reason))}{before}"
        )
    if len(found) > _MOST:
        click.echo(f"and {len(found) - _MOST:,} more; --json has them all")
    click.echo(f"Next: {found[0].next_step}")
