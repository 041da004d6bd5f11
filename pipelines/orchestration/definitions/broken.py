"""What does not load is shown in the UI as an asset with a failed check, whose text says what is wrong.

Everything else in the code location loads without it.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath

import dagster as dg

from pipelines.authoring.catalogue import CatalogueError
from pipelines.authoring.problems import DeclarationProblem
from pipelines.orchestration.keys import STAGES, key_of, legal_name, legal_tag
from resources.errors import readable

LOADS = "loads"


def broken_parts(error: CatalogueError) -> dict[str, Sequence[DeclarationProblem]]:
    """Events and files that do not load, by the event's full name or the file's path, with what is wrong."""
    found: dict[str, Sequence[DeclarationProblem]] = dict(error.healthy.refused)
    of_events = {problem for problems in found.values() for problem in problems}
    for problem in error.problems:
        if problem not in of_events:
            found[problem.file] = (*found.get(problem.file, ()), problem)
    return found


def build_broken(broken: Mapping[str, str]) -> list[dg.AssetsDefinition]:
    """Assets in place of what does not load: for each name or path of `broken`, with its text."""
    return [_asset(name, text) for name, text in sorted(broken.items())]


def build_broken_sensors(broken: Mapping[str, str]) -> list[dg.SensorDefinition]:
    """The sensor that makes the checks of these assets fail; none if everything loads."""
    if not broken:
        return []

    @dg.sensor(
        name="declarations",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Turns the check `loads` red for each event that does not load, with what is wrong. It is here only while "
        "there is one.",
    )
    def declarations(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        for name, text in broken.items():
            wrong = _verdict(name, text)
            latest = context.instance.get_latest_asset_check_evaluation_record(
                dg.AssetCheckKey(wrong.asset_key, LOADS)
            )
            said = latest and latest.event and latest.event.dagster_event
            if said and said.asset_check_evaluation_data.description == text:
                continue
            context.instance.report_runless_asset_event(wrong)
        return dg.SkipReason(f"does not load: {', '.join(sorted(broken))}")

    return [declarations]


def told(problems: Sequence[DeclarationProblem]) -> str:
    """The text of an asset in error."""
    text = "\n\n".join(
        "\n".join(
            [
                f"{problem.where}: {problem.problem}",
                *([f"allowed: {problem.allowed}"] if problem.allowed else []),
                *([f"next: {problem.next_step}"] if problem.next_step else []),
            ]
        )
        for problem in problems
    )
    # The text quotes what is wrong. If it could not be encoded, the page would be missing for every event.
    return readable(text)


def _asset(name: str, text: str) -> dg.AssetsDefinition:
    keys = _keys(name)
    specs = [
        dg.AssetSpec(
            key,
            deps=[keys[position - 1]] if position else [],
            skippable=True,
            group_name=key.path[0],
            kinds={"error"},
            tags={"sluice/event": legal_tag(key.path[1])},
            description=f"**Does not load.** Everything else does.\n\n```\n{text}\n```",
        )
        for position, key in enumerate(keys)
    ]

    @dg.multi_asset(
        # The whole name with a hash: a name of joined parts could also be that of another file or event.
        name=f"{legal_name(name)}__does_not_load",
        specs=specs,
        can_subset=True,
        check_specs=[
            dg.AssetCheckSpec(LOADS, asset=keys[-1], description="The event's module and contract load.")
        ],
    )
    def does_not_load():  # type: ignore[no-untyped-def]
        raise dg.Failure(f"{name} does not load:\n\n{text}", allow_retries=False)
        yield  # Dagster takes a generator's outputs one by one; a plain function would have to return them all

    return does_not_load


def _keys(name: str) -> list[dg.AssetKey]:
    """The asset keys of an event or a file. An event keeps the keys that it has when it loads, and so its
    history; a file gets a key of its own."""
    if name.endswith((".py", ".avsc")) or "/" not in name:
        return [dg.AssetKey(["files", *(legal_name(part) for part in PurePath(name).parts)])]
    domain, _, event = name.partition("/")
    return [key_of(domain, event, stage) for stage in STAGES]


def _verdict(name: str, text: str) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=_keys(name)[-1],
        check_name=LOADS,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=text,
    )


def tell(broken: Mapping[str, str]) -> None:
    """Write what does not load to the log of the code server."""
    for name, text in sorted(broken.items()):
        print(f"sluice: {name} does not load:\n{text}\n", file=sys.stderr)
