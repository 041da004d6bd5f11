"""Is the contract known to the registry, or can it be made known."""

from collections.abc import Iterator

from pipelines.preflight.facts import Facts
from pipelines.preflight.finding import Finding, failures_of
from resources.errors import SluiceError


def subject_of(topic: str) -> str:
    """TopicNameStrategy: the subject of a topic's values."""
    return f"{topic}-value"


NOT_COMPATIBLE = "is not compatible with the registered contract: "
MAKE_COMPATIBLE = "give new fields a default, or publish a new version of the topic (….v2)"


def contract_findings(facts: Facts) -> Iterator[Finding]:
    """Registered, to be registered, or refused; and whether the registry still knows what was published."""
    yield from _compatibility(facts)
    yield from _ids_in_use(facts)


def _ids_in_use(facts: Facts) -> Iterator[Finding]:
    """Records on the topic name schema ids. A registry that was emptied gives them out again, and consumers would then
    decode old records with another schema."""
    for one in facts.history.ids:
        if one.problem is None:
            continue
        name = facts.event.full_name
        yield Finding(
            "schema ids",
            "warning" if facts.replays_whole else "failed",
            f"window {one.window} was published with schema id {one.schema_id}, and the registry {one.problem}: consumers "
            "cannot decode its records, or decode them with a wrong schema",
            "restore the registry, or point SLUICE_REGISTRY_URL at the one that knows the id; if it is gone for good: "
            f'sluice register {name}, then sluice replay {name} --reason "the registry was emptied"',
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
        yield Finding("compatibility", "failed", told, MAKE_COMPATIBLE)
        return
    told = "first of its subject" if state.first_of_subject else "compatible"
    if facts.settings.register_contracts:
        yield Finding("compatibility", "ok", f"{told}, not registered yet (publishing registers it)")
        return
    yield Finding(
        "compatibility",
        "failed" if facts.publishing else "warning",
        f"{told}, not registered under {subject} yet, and the settings do not allow registering it at publish",
        f"sluice register {event.full_name} (or set SLUICE_REGISTER_CONTRACTS=true)",
    )
