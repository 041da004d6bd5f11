"""What `sluice doctor` says about the journal's topic:
none of it is a failure, because publishing does not need it."""

from dataclasses import replace
from typing import Any

import pytest

from pipelines.preflight.finding import Finding
from pipelines.preflight.rules.journal import described_topics, journal_findings
from resources.kafka.topics.cluster import TopicState
from resources.kafka.topics.journal_topic import JOURNAL_CONFIG, journal_topic
from resources.kafka.topics.topics import Topic
from tests.pipelines.preflight.conftest import ALL_RIGHTS, CONFIG, Case


def findings(case: Case, state: TopicState | None = None, **settings: Any) -> list[Finding]:
    changed = case.settings(**settings).facts
    name = journal_topic(changed.settings)
    cluster = replace(changed.kafka, topics={**changed.kafka.topics, name: state or missing(name)})
    return list(journal_findings(changed.settings, cluster))


def missing(name: str) -> TopicState:
    return TopicState(name, "missing")


def there(partitions: int = 16, config: dict[str, str] | None = None, **changes: Any) -> TopicState:
    name = "sluice.ledger.journal"
    topic = Topic(name, partitions, 3, {**CONFIG, **JOURNAL_CONFIG} if config is None else config)
    state = TopicState(name, "there", topic, in_sync=(3,) * partitions, rights=ALL_RIGHTS)
    return replace(state, **changes)


def test_a_journal_as_it_should_be(case: Case) -> None:
    found = findings(case, there())
    assert [(one.subject, one.level) for one in found] == [
        ("journal", "ok"),
        ("journal rights", "ok"),
        ("journal replicas", "ok"),
    ]


@pytest.mark.parametrize(
    ("state", "told", "step"),
    [
        (None, "does not exist, and the settings do not allow", "--config retention.ms=-1"),
        (TopicState("sluice.ledger.journal", "hidden"), "no right to it", "--config cleanup.policy=delete"),
        (there(8), "has 8 partitions", "SLUICE_LEDGER_PARTITIONS=8"),
        (
            there(config={**JOURNAL_CONFIG, "cleanup.policy": "compact"}),
            "cleanup.policy=compact",
            "cleanup.policy=delete",
        ),
        (there(config={**JOURNAL_CONFIG, "retention.ms": "1000"}), "retention.ms=1000", "retention.ms=-1"),
        (
            there(rights=ALL_RIGHTS - {"Write"}),
            "lacks Write",
            "--operation Write --topic sluice.ledger.journal",
        ),
        (there(leaderless=1), "no leader", "bring the missing brokers back"),
    ],
)
def test_what_is_wrong_with_it_is_a_warning(
    case: Case, state: TopicState | None, told: str, step: str
) -> None:
    (wrong,) = [one for one in findings(case, state) if one.level != "ok"]
    assert wrong.level == "warning" and told in wrong.told and step in (wrong.next_step or "")


def test_what_this_login_may_not_read_is_unknown_and_what_will_be_created_is_well(case: Case) -> None:
    assert findings(case, there(config={}))[0].level == "unknown"
    (found,) = findings(case, create_topics=True)
    assert found.level == "ok" and "the first record creates it with 16 partitions" in found.told


def test_a_ledger_with_too_long_a_name_is_described_without_its_journal(case: Case) -> None:
    settings = replace(case.facts.settings, ledger_topic="x" * 249)
    assert described_topics(settings) == ("x" * 249,)
