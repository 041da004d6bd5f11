"""Run configuration of an event: what an operator may set when a run or a backfill is launched."""

from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import dagster as dg

from pipelines.authoring.limits import MOST, is_group
from resources.errors import SluiceError
from resources.security.secrets import hide

if TYPE_CHECKING:
    from pipelines.authoring.event import Event
    from pipelines.authoring.limits import Limits
    from pipelines.publishing.request import PlannedState, PublishRequest
    from resources.settings import Settings


# A record's headers are part of its size, which brokers limit to 1 MB.
_MOST_WORDS = 10_000


def _one_of(name: str, *values: str) -> dg.Enum:
    return dg.Enum(name, [dg.EnumValue(value) for value in values])


# Fields, not a dg.Config class: to infer the schema from a class again for each of 500 events takes a second.
CONFIG = {
    "reason": dg.Field(
        str,
        default_value="",
        description="Why; kept in the ledger and in the headers of corrections and replays. A replay needs one.",
    ),
    "requested_by": dg.Field(str, default_value="", description="Who asks; kept in the ledger."),
    "on_definition_change": dg.Field(
        _one_of("OnDefinitionChange", "ask", "correct", "replay"),
        default_value="ask",
        description="What to do with a window published by another version of the module or contract, if its "
        "events differ: `ask` fails the window and says how many; `correct` publishes the difference; `replay` "
        "publishes every event again.",
    ),
    "replay": dg.Field(
        _one_of("Replay", "no", "stored", "fresh"),
        default_value="no",
        description="Publish again what was published: from the `stored` snapshots, or `fresh`ly sourced "
        "(select `published`; what else is selected makes no difference). Needs a reason.",
    ),
    "keys": dg.Field(
        [str], default_value=[], description="Replay only the events with these keys; empty: all of them."
    ),
    "keys_file": dg.Field(
        str,
        default_value="",
        description="Replay only the events whose keys stand in this file, one on each line: a path below the "
        "project, or an address in the snapshot store.",
    ),
    "unmatched_keys": dg.Field(
        _one_of("UnmatchedKeys", "refuse", "leave_out"),
        default_value="refuse",
        description="What to do about keys that are in none of the run's windows: `refuse` fails the run and names them, "
        "before anything is published (from `fresh` rows: afterwards); `leave_out` replays the other keys.",
    ),
    "event_time_from": dg.Field(
        str, default_value="", description="Replay only events at or after this instant, ISO 8601, UTC."
    ),
    "event_time_until": dg.Field(
        str, default_value="", description="Replay only events before this instant, ISO 8601, UTC."
    ),
    "to_topic": dg.Field(
        str, default_value="", description="Replay to this shadow topic; empty: the event's own topic."
    ),
    "plan_file": dg.Field(
        str,
        default_value="",
        description="Do what this plan says (`sluice plan --out`), and nothing where a window has changed since: a path "
        "below the project, or an address in the snapshot store.",
    ),
    "redrive": dg.Field(
        bool,
        default_value=False,
        description="After a fix of the module: publish the rows that were dead letters and now fit the contract, and what "
        "dead letters kept from being published (select `published`; nothing is sourced).",
    ),
    "force": dg.Field(
        bool,
        default_value=False,
        description="With `redrive`: also dead letters that this version of the module has tried before.",
    ),
    "max_rows_per_second": dg.Field(
        int,
        is_required=False,
        description="For this run, in place of the event's and the settings'; 0: no limit.",
    ),
    "max_bytes_per_second": dg.Field(
        int,
        is_required=False,
        description="For this run, in place of the event's and the settings'; 0: no limit.",
    ),
    "max_lag": dg.Field(
        {str: int},
        default_value={},
        description="For this run: consumer group and the records that it may be behind, in place of the event's "
        "limit for that group; 0: no limit.",
    ),
}


@dataclass(frozen=True)
class RunConfig:
    """An event's run configuration, as CONFIG declares it."""

    reason: str = ""
    requested_by: str = ""
    on_definition_change: Literal["ask", "correct", "replay"] = "ask"
    replay: Literal["no", "stored", "fresh"] = "no"
    keys: list[str] = field(default_factory=list)
    keys_file: str = ""
    unmatched_keys: Literal["refuse", "leave_out"] = "refuse"
    event_time_from: str = ""
    event_time_until: str = ""
    to_topic: str = ""
    plan_file: str = ""
    redrive: bool = False
    force: bool = False
    max_rows_per_second: int | None = None
    max_bytes_per_second: int | None = None
    max_lag: dict[str, int] = field(default_factory=dict)

    def as_run_config(self) -> dict[str, object]:
        """The op's configuration, without the values that are the default."""
        return {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if getattr(self, one.name) not in ((one.default,) if one.default is not MISSING else ([], {}))
        }

    def require_sound(self) -> None:
        """Raise SluiceError for values that are not valid or contradict each other. Reads no file and sends
        no request, so that a launch can be refused because of them."""
        if self != RunConfig():
            self._require_limits()
            self._wished(request="", requested_by="", keys=frozenset(self.keys), expected=None)

    def limits(self, event: "Event", settings: "Settings") -> "Limits":
        """The limits of a run of `event`: the stricter of the event's and the settings', unless this
        configuration replaces them.

        Raises SluiceError for a limit that is negative or too large, and for a name that no consumer group
        can have.
        """
        self._require_limits()
        usual = event.limits.stricter(settings.max_rows_per_second, settings.max_bytes_per_second)
        return usual.anew(self.max_rows_per_second, self.max_bytes_per_second, self.max_lag)

    def _require_limits(self) -> None:
        told = {
            "max_rows_per_second": self.max_rows_per_second,
            "max_bytes_per_second": self.max_bytes_per_second,
        }
        told |= {f"max_lag of {group}": records for group, records in self.max_lag.items()}
        for group in self.max_lag:
            if not is_group(group):
                raise SluiceError(
                    "run config",
                    f"max_lag has {group!r} for the name of a consumer group",
                    allowed="a name without control characters",
                )
        for name, value in told.items():
            if value is not None and not 0 <= value <= MOST:
                raise SluiceError(
                    "run config",
                    f"{name} is {value}",
                    allowed="a whole number, at most 2^63 - 1; 0 for no limit",
                )

    def publish_request(self, *, request: str, requested_by: str) -> "PublishRequest":
        """The request of the run.
        Raises SluiceError for values that contradict each other, and for a file that cannot be read."""
        self.require_sound()
        # Imported here: the server that lists assets needs neither Arrow nor an encoder.
        from pipelines.publishing.selection import read_keys

        return self._wished(
            request=request,
            requested_by=requested_by,
            keys=frozenset(self.keys) | read_keys(self.keys_file),
            expected=_expected(self.plan_file),
        )

    def _wished(
        self,
        *,
        request: str,
        requested_by: str,
        keys: frozenset[str],
        expected: "dict[str, PlannedState] | None",
    ) -> "PublishRequest":
        from pipelines.publishing.request import PublishRequest, Redrive, Replay
        from pipelines.publishing.selection import Selection

        only_replay = {
            "keys": self.keys,
            "keys_file": self.keys_file,
            "event_time_from": self.event_time_from,
            "event_time_until": self.event_time_until,
            "to_topic": self.to_topic,
            "unmatched_keys": self.unmatched_keys != "refuse",
        }
        given = [name for name, value in only_replay.items() if value]
        replay = None
        if self.replay != "no":
            selection = Selection(
                keys,
                _instant("event_time_from", self.event_time_from),
                _instant("event_time_until", self.event_time_until),
            )
            # A re-execution with another selection is another request.
            asked = repr(
                (self.replay, sorted(selection.keys), selection.since, selection.until, self.to_topic)
            )
            request = f"{request}/{sha256(asked.encode()).hexdigest()[:8]}"
            replay = Replay(request, self.replay, selection, self.to_topic or None, self.unmatched_keys)
        elif given:
            raise SluiceError(
                "run config",
                f"{given[0]} is for a replay, and none is asked for",
                next_step="add `replay: stored`, or leave it out",
            )
        if self.redrive and replay is not None:
            raise SluiceError(
                "run config", "asks for a replay and for a redrive", allowed="one of them in a run"
            )
        if self.force and not self.redrive:
            raise SluiceError(
                "run config",
                "force is for a redrive, and none is asked for",
                next_step="add `redrive: true`, or leave it out",
            )
        for name, words in (("reason", self.reason), ("requested_by", self.requested_by)):
            if len(words) > _MOST_WORDS:
                raise SluiceError(
                    "run config",
                    f"{name} has {len(words):,} characters",
                    allowed=f"at most {_MOST_WORDS:,}: it is kept in the ledger, and in a header of each record",
                )
        return PublishRequest(
            hide(self.reason) or None,
            hide(self.requested_by or requested_by),
            self.on_definition_change,
            replay,
            Redrive(self.force) if self.redrive else None,
            expected=expected,
        )


def _expected(plan_file: str) -> "dict[str, PlannedState] | None":
    if not plan_file:
        return None
    from pipelines.dry_run.plan import read_plan

    return {window.window: window.expected for window in read_plan(plan_file).windows}


def _instant(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise SluiceError(
            "run config", f"{name}: {text!r} is no instant", allowed="ISO 8601, such as 2013-01-01T06:00:00Z"
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
