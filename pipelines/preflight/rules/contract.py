"""Checks that the registry knows the contract, or that the contract can be registered."""

import re
from collections.abc import Iterator, Sequence

from pipelines.authoring.event import Event
from pipelines.contract import places_with_todo, says_todo
from pipelines.preflight.facts import Facts
from pipelines.preflight.finding import Finding, failures_of, refusal
from resources.errors import SluiceError
from resources.settings import Settings, variable


def subject_of(topic: str) -> str:
    """The subject of a topic's values (TopicNameStrategy)."""
    return f"{topic}-value"


NOT_COMPATIBLE = "is not compatible with the registered contract: "
_NEW_VERSION = "publish a new version of the topic (….v2)"


# A pattern of a reason, in the words of the embedded registry or of Confluent's, and what to do about it. The
# first pattern that fits counts. At FORWARD the old schema reads the new schema's data, at BACKWARD the new
# one the old one's: each needs another step.
_STEPS = (
    (
        r"in the old schema has no default|^.* cannot read data of the new schema.*missing from the data",
        "keep the field",
    ),
    (
        r"in the new schema has no default|^the new schema cannot read .*missing from the data",
        "give the new field a default",
    ),
    (
        r"old schema is missing enum symbols|cannot read data of the new schema.* lacks ",
        "add no symbol to the enum",
    ),
    (r"new schema is missing enum symbols|the new schema cannot read .* lacks ", "keep the enum's symbols"),
    (r"cannot hold|does not match|missing a type inside a union|size of .*fixed", "keep the field's type"),
    (r"cannot read data of the new schema.*without an alias", "keep the type's name"),
    (
        r"without an alias|name of the schema has changed",
        "keep the type's name, or give the type an alias of its former name",
    ),
)


def make_compatible(problems: Sequence[str]) -> str:
    """What to do about these reasons of a registry: only the steps that they need."""
    steps = []
    for one in problems:
        found = next((step for pattern, step in _STEPS if re.search(pattern, one, re.IGNORECASE)), None)
        if found:
            steps.append(found)
    return "; ".join([*dict.fromkeys(steps or ["take back what the reasons name"]), f"or {_NEW_VERSION}"])


def contract_findings(facts: Facts) -> Iterator[Finding]:
    """Whether the contract is finished; whether it is registered, can be registered, or is refused; and
    whether the registry still knows the ids that were published with."""
    yield from todo_findings(facts.event, facts.settings, publishing=facts.publishing)
    yield from _compatibility(facts)
    yield from _ids_in_use(facts)


TODO = "TODO"


def todo_findings(event: Event, settings: Settings, *, publishing: bool) -> Iterator[Finding]:
    """What is still TODO in the contract and in the declaration; nothing if neither says TODO.

    A contract that says TODO is refused if it would be registered or published with (`publishing`), except on
    the embedded registry, where only the author reads the events. A declaration is not registered, so a TODO
    in it is only a warning.
    """
    file = event.contract.path.name
    if places := places_with_todo(event.contract):
        told = f"{file} still says TODO of {', '.join(places)}"
        step = f"say in {file} what each is, and its unit: consumers read nothing else"
        if publishing and not settings.registry_is_embedded:
            yield Finding(TODO, "failed", told, step)
        else:
            told += "; `sluice register` and `sluice publish` refuse it on a registry that is not the embedded one"
            yield Finding(TODO, "warning", told, step)
    texts = (("description", event.description), ("owner", event.owner))
    if said := [what for what, text in texts if says_todo(text)]:
        told = f"the {' and the '.join(said)} of {event.full_name} still say{'s' * (len(said) == 1)} TODO"
        yield Finding(
            TODO, "warning", told, f"write {'them' if len(said) > 1 else 'it'} in {event.module_path.name}"
        )


def require_finished(event: Event, settings: Settings, subject: str) -> list[Finding]:
    """Called before a contract is registered: returns the warnings of `todo_findings`. Raises PreflightFailed
    if the contract is refused."""
    found = list(todo_findings(event, settings, publishing=True))
    if not all(finding.ok for finding in found):
        raise refusal(f"{event.contract.path.name}, subject {subject}", found)
    return found


def _ids_in_use(facts: Facts) -> Iterator[Finding]:
    """Records on the topic name schema ids. A registry that was emptied assigns the ids again, and consumers
    would then decode old records with another schema."""
    for one in facts.history.ids:
        if one.problem is None:
            continue
        name = facts.event.full_name
        yield Finding(
            "schema ids",
            "warning" if facts.replays_whole else "failed",
            f"window {one.window} was published with schema id {one.schema_id}, and the registry {one.problem}: consumers "
            "cannot decode its records, or decode them with a wrong schema",
            f"restore the registry, or point {variable('registry.url')} at the one that knows the id; if it is gone for good: "
            f'sluice register {name}, then sluice replay {name} --reason "the registry was emptied"',
            relaunch=False,
        )


def _compatibility(facts: Facts) -> Iterator[Finding]:
    state, event, subject = facts.contract, facts.event, subject_of(facts.event.topic)
    if isinstance(state, SluiceError):
        yield from failures_of("compatibility", state)
        return
    if state.schema_id is not None:
        told = f"registered under {subject} with schema id {state.schema_id}"
        yield Finding("compatibility", "ok", told)
        return
    if state.problems:
        told = f"{event.contract.path.name} {NOT_COMPATIBLE}" + "; ".join(state.problems)
        yield Finding("compatibility", "failed", told, make_compatible(state.problems))
        return
    told = "first of its subject" if state.first_of_subject else "compatible"
    if facts.settings.register_contracts:
        yield Finding("compatibility", "ok", f"{told}, not registered yet (publishing registers it)")
        return
    yield Finding(
        "compatibility",
        "failed" if facts.publishing else "warning",
        f"{told}, not registered under {subject} yet, and the settings do not allow registering it at publish",
        f"sluice register {event.full_name} (or set {variable('register_contracts')}=true)",
    )
