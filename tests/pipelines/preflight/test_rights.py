"""What the preflight says about a login's rights on a broker with ACLs,
compared with what the broker then does."""

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipelines.journal.journal import Journal
from pipelines.journal.milestones import milestones_at_end, passed_check, registration
from pipelines.preflight.finding import Finding, PreflightFailed
from pipelines.preflight.fitness import preflight, require_fit
from pipelines.publishing.publisher import Publisher
from pipelines.reconciling.reconciler import Reconciler
from resources.errors import SluiceError
from resources.kafka.topics.journal_topic import journal_topic
from resources.platform import Platform
from tests.pipelines.publishing.conftest import WINDOW

if TYPE_CHECKING:
    from tests.pipelines.preflight.conftest import SecuredWorld

pytestmark = pytest.mark.kafka

ROWS = [(f"k{i}", i % 1000, i) for i in range(50)]


def _findings(secured: "SecuredWorld", **settings: object) -> dict[str, Finding]:
    event = secured.world.event
    found = preflight(event, secured.platform(**settings), [event.windows.window(WINDOW)])
    return {finding.subject: finding for finding in found}


def _publish(secured: "SecuredWorld") -> object:
    secured.world.rows(ROWS)
    secured.world.prepare()
    publisher = Publisher(secured.world.event, secured.platform(), run_id="run")
    return publisher.publish(WINDOW)


def test_the_rights_of_the_operating_page_are_enough_and_the_preflight_agrees(
    secured: "SecuredWorld",
) -> None:
    secured.grant_all_but()
    found = _findings(secured)
    assert [finding for finding in found.values() if finding.level == "failed"] == []
    assert found["rights"].told == f"Read, Write on {secured.world.topic}"
    assert found["transactional id"].level == "unknown"
    _publish(secured)
    # The first transaction of a cluster takes some time to be visible everywhere.
    deadline = time.monotonic() + 60
    while len(secured.world.seen()) < len(ROWS) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert secured.world.counted() == Counter(ROWS)


@pytest.mark.parametrize(
    ("left_out", "subject", "told", "step"),
    [
        (["topic write"], "rights", "lacks Write", "--operation Write --topic"),
        (["topic read"], "rights", "lacks Read", "--operation Read --topic"),
        (["ledger write"], "ledger rights", "lacks Write", "--operation Write --topic"),
        (["ledger read"], "ledger rights", "lacks Read", "--operation Read --topic"),
        (["group"], "group", "no right to group", "--operation Describe --group"),
        (["topic write", "topic read", "topic config"], "topic", "no right to it", "grant Write"),
        (
            ["ledger write", "ledger read", "ledger config"],
            "ledger",
            "no right to it",
            "grant Read and Write",
        ),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, list) else "",
)
def test_a_right_that_is_missing_is_named_with_the_command_that_gives_it(
    secured: "SecuredWorld", left_out: list[str], subject: str, told: str, step: str
) -> None:
    secured.grant_all_but(*left_out)
    finding = _findings(secured)[subject]
    assert finding.level == "failed"
    assert told in finding.told
    assert finding.next_step is not None and step in finding.next_step
    with pytest.raises(SluiceError):
        _publish(secured)
        # The right to read is only needed if what was published is read back.
        with Reconciler(secured.world.event, secured.platform()) as reconciler:
            reconciler.reconcile(WINDOW)


def test_what_a_login_may_not_read_is_unknown_and_says_which_right_would_show_it(
    secured: "SecuredWorld",
) -> None:
    secured.grant_all_but("topic config", "ledger config")
    found = _findings(secured)
    assert found["topic settings"].level == "unknown"
    assert found["ledger"].level == "unknown"
    for subject in ("topic settings", "ledger", "transactions"):
        assert "DescribeConfigs" in (found[subject].next_step or "")
    assert "retention" not in found, "what may not be read is not judged"


def test_the_brokers_own_settings_are_read_where_the_login_may(secured: "SecuredWorld") -> None:
    secured.acls.set(*secured.needed.values(), ("cluster", "kafka-cluster", "DESCRIBE_CONFIGS"))
    assert _findings(secured)["transactions"].told.endswith("of the 15 min that the brokers allow")
    settings = secured.platform().settings
    wrong = Platform(replace(settings, kafka={**settings.kafka, "transaction.timeout.ms": "1000000"}))
    with pytest.raises(PreflightFailed, match=r"transaction\.max\.timeout\.ms=900000"):
        require_fit(secured.world.event, wrong, [secured.world.event.windows.window(WINDOW)])
    wrong.close()


def test_the_check_of_rights_asks_for_reading_only_where_something_reads_back(
    secured: "SecuredWorld",
) -> None:
    secured.grant_all_but("topic read")
    assert _findings(secured, reconcile=False)["rights"].level == "ok"


def test_the_journal_needs_read_and_write_and_no_publication_needs_the_journal(
    secured: "SecuredWorld",
) -> None:
    settings, said = secured.world.settings(), list[str]()
    record = passed_check(secured.world.event, by="me")
    Journal(settings).write([record])
    secured.grant_all_but()
    login = secured.platform().settings
    with milestones_at_end(login, warn=said.append) as milestones:
        milestones.append(record)
    assert len(said) == 1 and "1 record was not written" in said[0] and "lacks a right" in said[0]
    _publish(secured)

    journal = journal_topic(settings)
    secured.acls.set(*secured.needed.values(), ("topic", journal, "READ"), ("topic", journal, "WRITE"))
    with milestones_at_end(login, warn=said.append) as milestones:
        milestones.append(registration(secured.world.event, "s", 1, during="register", by="me"))
    found = Journal(login).read([secured.world.topic])[secured.world.topic]
    assert [one.kind for one in found.records] == ["checked", "registered"] and len(said) == 1
