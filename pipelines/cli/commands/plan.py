"""`sluice plan`."""

from pathlib import Path
from typing import Any

import click

from pipelines.cli.options.replay import Selected, selecting


@click.command()
@click.argument("event", required=False, metavar="[SELECTION]")
@click.argument("windows", required=False)
@click.option("--correct", is_flag=True, help="As for `publish --correct`.")
@click.option("--replay", is_flag=True, help="Plan a replay; the options below say of what, as for `replay`.")
@click.option("--redrive", is_flag=True, help="Plan a redrive of dead letters, as for `redrive`.")
@click.option("--force", is_flag=True, help="As for `redrive --force`.")
@click.option("--reason", help="Why; a replay needs one.")
@selecting
@click.option("--show", type=click.IntRange(0, 100), default=3, show_default=True, help="Events to print.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the plan there."
)
@click.option("--apply", "apply_file", metavar="FILE", help="Do what the plan in FILE says.")
@click.option("--json", "as_json", is_flag=True, help="The plan as JSON; with --apply, what became of it.")
def command(
    event: str | None,
    windows: str | None,
    correct: bool,
    replay: bool,
    redrive: bool,
    force: bool,
    reason: str | None,
    keys: tuple[str, ...],
    keys_file: str | None,
    since: str | None,
    until: str | None,
    fresh: bool,
    topic: str | None,
    matching_only: bool,
    show: int,
    out: Path | None,
    apply_file: str | None,
    as_json: bool,
) -> None:
    """Show what publishing, replaying or redriving windows would do; with --apply, do exactly that.

    For every window: what would happen and why, how many events and bytes would go out, what would be gone, rows that
    do not fit, and about how long it takes at the present limits; then a few of the events, and where an event was
    published before, what is different about it. The warehouse is queried and the rows pass every step, in a folder
    that is thrown away.

    \b
      sluice plan flight_departed 2013-01
      sluice plan flight_departed 2013-01-01 --correct --reason "delays were rounded" --out plan.json
      sluice plan --apply plan.json
      sluice plan flight_departed --replay --key 2013-01-02-B6-155-JFK --reason "asked for by billing"
      sluice plan flight_departed 2013-01 --redrive
      sluice plan 'flights/*' 2013-01 --json | jq '.[].windows'

    With a selection, one plan for each event, and --json prints an array of plans. --out is of one event.

    A plan never writes anything but FILE. Applying one is a run like any other, that refuses every window whose rows or whose
    place in the ledger have changed since.
    """
    from pipelines.cli.actions.plan import Wanted, made, show_plan, windows_to_plan
    from pipelines.cli.actions.plan_apply import apply
    from pipelines.cli.actions.replay import NothingToReplay, require_free
    from pipelines.cli.options.events import chosen
    from pipelines.cli.output.tables import heading

    selected = Selected(keys, keys_file, since, until, fresh, topic, matching_only)
    if apply_file is not None:
        if event or windows or out or correct or replay or redrive or force or reason or selected.given:
            raise click.UsageError("the plan says it all: sluice plan --apply FILE")
        if not apply(apply_file, as_json=as_json):
            raise SystemExit(1)
        return
    if not event or not (windows or replay or redrive):
        raise click.UsageError(
            "name an event and its windows, as in `sluice plan flight_departed 2013-01-01`"
        )
    if redrive and (replay or correct):
        raise click.UsageError("--redrive is no --replay and no --correct: plan one of them")
    if force and not redrive:
        raise click.UsageError("--force is of a redrive: add --redrive")
    if selected.given and not replay:
        raise click.UsageError(
            "--key, --keys, --matching-only, --from, --until, --fresh and --to are of a replay: add --replay"
        )
    if replay and not (reason and reason.strip()):
        raise click.UsageError('a replay needs a reason: --reason "billing lost its state"')
    if out is not None and not out.absolute().parent.is_dir():
        raise click.UsageError(f"--out {out}: there is no folder {out.absolute().parent}")
    from resources.settings import load_settings

    meant = chosen(event)
    if out is not None:
        meant.only("a plan that is written to a file is of one event")
    if selected.of_one_event:
        meant.only("--key, --keys, --matching-only, --from, --until and --to are of one event")
    require_free(topic, meant.catalogue, load_settings())
    config: dict[str, Any] = {"reason": reason or "", "on_definition_change": "correct" if correct else "ask"}
    config |= selected.config() if replay else {}
    config |= {"redrive": True, "force": force} if redrive else {}
    good, plans = meant.whole, []
    for found, named in windows_to_plan(meant, windows, ended_only=not (replay or redrive)):
        try:
            plan = made(
                found, Wanted(windows, named, config, shown=show, of_letters=redrive and not meant.named)
            )
        except NothingToReplay as error:
            if meant.named:
                raise
            click.echo(f"{error.where}: {error.problem}", err=True)
            continue
        plans.append(plan)
        good = good and not (plan.refused or plan.keys_missing)
        if out is not None:
            try:
                out.write_text(plan.to_json(), encoding="utf-8")
            except OSError as error:
                raise click.UsageError(f"--out {out}: cannot be written: {error.strerror or error}") from None
        if not as_json:
            if not meant.named:
                heading(found.full_name)
            show_plan(found, plan, out)
    if as_json:
        click.echo(plans[0].to_json() if meant.named else f"[{', '.join(plan.to_json() for plan in plans)}]")
    elif not plans:
        click.echo("There is nothing to plan: see above.")
    if not good:
        raise SystemExit(1)
