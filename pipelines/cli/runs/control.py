"""Pausing, resuming and cancelling runs in progress, wherever they run."""

import time

import click
import dagster as dg
from dagster import DagsterRunStatus

from pipelines.cli.options.events import chosen, single_name
from pipelines.cli.output.destination import say_destination
from pipelines.orchestration.control import (
    Answer,
    Order,
    answer_of,
    asked_of,
    described,
    found_by,
    give,
    listed,
    under_way,
)
from pipelines.orchestration.launch import dagster_instance
from pipelines.orchestration.liveness.lost_runs import LostRuns, end_run
from pipelines.run_events import Paused, WentOn, sentence
from pipelines.selection.evaluation import Subject, matches
from pipelines.selection.parser import parse
from resources.errors import SluiceError
from resources.follow_ups import follow_up
from resources.identity import this_user
from resources.settings import load_settings

# A run checks for orders once a second, and a transaction takes two.
_WAIT_SECONDS = 10.0
_ANSWERS: dict[Order, Answer] = {"pause": "paused", "resume": "resumed"}

# A lost run can no longer act. The daemon launches it again with its order.
_OF_LOST: dict[Order, str] = {
    "pause": "the run that is launched in its place will be paused. ",
    "resume": "the run that is launched in its place will not be paused. ",
    "cancel": "cancelled. ",
}


def order_runs(name: str, order: Order) -> None:
    """Give `order` to the runs that `name` means (an event, the beginning of a run's id, or a selection), and
    print what they did.

    An event that does not load may have a run in progress. It gets the order if its name alone decides that
    it is meant; otherwise it is named on stderr. Either way the command exits with 1.
    Raises SluiceError if no run in progress is meant.
    """
    settings = load_settings()
    say_destination(settings)
    instance = dagster_instance(settings)
    eyes = LostRuns()
    eyes.end(instance)
    runs = under_way(instance)
    single = single_name(name)
    names, whole = _meant(name, runs, order) if single is None else ([single], True)
    meant = list({run.run_id: run for one in names for run in found_by(runs, one)}.values())
    if not meant:
        raise _nobody(name, runs)
    by = this_user()
    if order == "resume":
        paused = [run for run in meant if asked_of(run)[0] == "pause"]
        for run in meant:
            if run not in paused:
                click.echo(f"{described(run)}: is not paused.")
        meant = paused
    lost = {run.run_id: why for run in meant if (why := eyes.why_lost(instance, run))}
    for run in meant:
        give(instance, run, order, by)
        if order == "cancel" and run.run_id in lost:
            # The lost run cannot end itself,
            # and a person who cancels it does not want the daemon to launch it again.
            end_run(instance, run, lost[run.run_id])
    deadline = time.monotonic() + _WAIT_SECONDS
    for run in meant:
        why = lost.get(run.run_id)
        said = _outcome(instance, run, order, by, deadline) if why is None else f"{_OF_LOST[order]}{why}"
        click.echo(f"{described(run)}: {said}")
    if not whole:
        raise SystemExit(1)


def _meant(text: str, runs: list[dg.DagsterRun], order: Order) -> tuple[list[str], bool]:
    """The events that the selection picks, also those that do not load, and whether all are known."""
    found = chosen(text, none_loads=True)
    expression = parse(text)
    names = found.names
    for name in found.refused:
        if matches(expression, Subject(name)):
            names.append(name)
        elif found_by(runs, name):
            click.echo(
                follow_up(
                    f"{name} does not load, so whether the selection picks it is not known. "
                    f"`sluice {order} {name}` is about its run."
                ),
                err=True,
            )
    return names, found.whole


def _outcome(instance: dg.DagsterInstance, run: dg.DagsterRun, order: Order, by: str, deadline: float) -> str:
    """The effect of the order; waits until `deadline` for the run itself to report it."""
    while True:
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            status = now.status.value.lower() if now else "gone"
            return "cancelled." if status == "canceled" and order == "cancel" else f"has ended: {status}."
        answer = answer_of(now)
        if answer is not None and answer[0] == _ANSWERS.get(order):
            return _answered(answer, run, by)
        if time.monotonic() >= deadline or now.status == DagsterRunStatus.QUEUED:
            break
        time.sleep(0.2)
    when = "once it begins" if now.status == DagsterRunStatus.QUEUED else "at its next chunk boundary"
    return {
        "pause": follow_up(
            f"is asked to pause, and will {when}. `sluice resume {run.run_id[:8]}` takes it back."
        ),
        "resume": "goes on within a second, unless a limit holds it back.",
        "cancel": f"is asked to end, and will {when}.",
    }[order]


def _answered(answer: tuple[Answer, float], run: dg.DagsterRun, by: str) -> str:
    said, seconds = answer
    if said == "paused":
        return sentence(Paused(by=by, run_id=run.run_id))
    return sentence(WentOn(cause="operator", seconds=seconds))


def _nobody(name: str, runs: list[dg.DagsterRun]) -> SluiceError:
    known = "; ".join(map(listed, runs[:10]))
    return SluiceError(
        name,
        "is neither an event that is being published, nor the id of a run under way, nor a selection of such events",
        allowed=known or "nothing: no run is under way",
        next_step="`sluice status` shows what is on the topics" if not runs else None,
    )
