"""The preflight: everything that must hold before the first byte, checked at once and reported together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.preflight.facts import Facts
from pipelines.preflight.finding import Finding, failures_of, refusal
from pipelines.preflight.gathering import gather
from pipelines.preflight.largest_record import LargestRecord
from pipelines.preflight.rules.access import access_findings
from pipelines.preflight.rules.contract import contract_findings
from pipelines.preflight.rules.disk import disk_findings, unread_findings
from pipelines.preflight.rules.ledger import ledger_findings, record_findings
from pipelines.preflight.rules.topic import topic_findings
from pipelines.run_events import Tell, Warned
from resources.errors import SluiceError, TransientError
from resources.kafka.topics.topics import Topic
from resources.platform import Platform


@dataclass(frozen=True)
class Fit:
    """The result for windows that passed.
    `topic` and `schema_id` are None if publishing will create or register them."""

    findings: tuple[Finding, ...]
    topic: Topic | None
    schema_id: int | None


def preflight(
    event: Event,
    platform: Platform,
    windows: Sequence[Window],
    *,
    topic: str | None = None,
    largest: LargestRecord | None = None,
) -> tuple[Finding, ...]:
    """Every finding about publishing `windows` (in time order) to the event's topic, or to `topic`.

    `largest` is a record that the topic must accept. No check prevents another check. Nothing is created,
    registered or written.
    """
    return judge(replace(gather(event, platform, windows, topic=topic), largest=largest))


def require_fit(
    event: Event,
    platform: Platform,
    windows: Sequence[Window],
    *,
    topic: str | None = None,
    replays_whole: bool = False,
    tell: Tell = lambda _: None,
) -> Fit:
    """The same before a run: warnings are reported with `tell`, and all failures are raised as one
    PreflightFailed.

    Raises TransientError instead if Kafka or the registry does not answer, because then nothing is known.
    """
    facts = gather(event, platform, windows, topic=topic, publishing=True)
    facts = replace(facts, replays_whole=replays_whole)
    for asked in (facts.cluster, facts.contract):
        if isinstance(asked, TransientError):
            raise asked
    findings = judge(facts)
    for finding in findings:
        if finding.level == "warning":
            step = f"; next: {finding.next_step}" if finding.next_step else ""
            tell(Warned(text=f"{event.full_name}: {finding.subject}: {finding.told}{step}"))
    if not all(finding.ok for finding in findings):
        raise refusal(f"{event.full_name} on {facts.topic}", findings)
    there = facts.target.presence == "there"
    schema_id = None if isinstance(facts.contract, SluiceError) else facts.contract.schema_id
    return Fit(findings, facts.target.topic if there else None, schema_id)


def judge(facts: Facts) -> tuple[Finding, ...]:
    """The findings that follow from the facts; a pure function."""
    return tuple(_findings(facts))


def _findings(facts: Facts) -> Iterator[Finding]:
    yield from contract_findings(facts)
    if isinstance(facts.cluster, SluiceError):
        yield from failures_of("Kafka", facts.cluster)
    else:
        yield from topic_findings(facts)
        yield from ledger_findings(facts.settings, facts.kafka)
        yield from record_findings(facts)
        yield from access_findings(facts)
    yield from disk_findings(facts)
    yield from unread_findings(facts)
