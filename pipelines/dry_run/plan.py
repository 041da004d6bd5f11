"""A plan: what a launch would do to each window, and the state in which it found them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import fsspec

from pipelines.encoding.plain_json import to_json
from pipelines.publishing.request import PlannedState
from resources.errors import Problem, SluiceError
from resources.json_mistakes import parse_json
from resources.process.waiting import waiting_for
from resources.wording import cut, text_of

_VERSION = 1


_AGAIN = "sluice plan EVENT WINDOWS --out FILE makes one"


class PlanUnreadable(SluiceError):
    """A file that is not a plan of this version."""


@dataclass(frozen=True)
class WindowPlan:
    """What a launch would do to one window.

    `records` would be published as `generation`, including `tombstones`; `bytes`: of their keys and values.
    `rows`: events that the window would then hold. `gone`: published events that it would no longer hold and
    that no event of the same key replaces. `dead`: rows that do not fit. `refused`: why it would not be
    published. `sample`: some of the events; `changes`: some that replace a published event of the same key
    (see `pipelines.dry_run.changes`). Values are plain JSON values. `problems`: the refusal, part by part.
    `outcome`: why nothing would be published, in a run's words; "" if something would, or if the window is
    refused.
    """

    window: str
    action: str
    because: str
    expected: PlannedState
    generation: int = 0
    rows: int = 0
    records: int = 0
    tombstones: int = 0
    gone: int = 0
    dead: int = 0
    bytes: int = 0
    refused: str | None = None
    sample: tuple[Mapping[str, Any], ...] = ()
    changes: tuple[Mapping[str, Any], ...] = ()
    outcome: str = ""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Windows of one event under one run configuration. `seconds`: about how long publishing would take, None
    if nothing is known about the speed; `speed` says what the estimate rests on. `unmatched_keys`: keys of a
    replay that none of the windows holds (see `Unmatched.as_dict`); None: there are none. `environment`: the
    environment in which the plan was made; None: without one."""

    event: str
    code_version: str
    made_at: str
    config: Mapping[str, Any]
    stages: tuple[str, ...]
    windows: tuple[WindowPlan, ...] = field(default_factory=tuple)
    seconds: float | None = None
    speed: str = ""
    unmatched_keys: Mapping[str, Any] | None = None
    environment: str | None = None

    @property
    def keys_missing(self) -> bool:
        """True if the plan must not be applied because none of its windows holds some of the keys."""
        return self.unmatched_keys is not None and self.config.get("unmatched_keys") != "leave_out"

    @property
    def refused(self) -> list[WindowPlan]:
        """The windows that would not be published."""
        return [window for window in self.windows if window.refused]

    def to_json(self) -> str:
        """The plan as a file; values of events are written by `pipelines.encoding.plain_json`."""
        return to_json({"sluice_plan": _VERSION, **asdict(self)}, indent=1)


def read_plan(address: str) -> Plan:
    """The plan in a file, by its path or fsspec URL. Raises PlanUnreadable."""
    try:
        with waiting_for(f"plan {address}"), fsspec.open(address, "rt", encoding="utf-8") as file:
            raw = parse_json(f"plan {address}", file.read(), next_step=_AGAIN)
        if not isinstance(raw, dict):
            raise ValueError("a JSON object with 'sluice_plan' is expected")
        if raw.pop("sluice_plan") != _VERSION:
            raise ValueError("written by another version of Sluice")
        listed = raw.pop("windows")
        if not isinstance(listed, list):
            raise ValueError("its entry 'windows' is no list")
        windows = tuple(
            WindowPlan(
                **{
                    **one,
                    "expected": PlannedState(**one["expected"]),
                    "sample": tuple(one["sample"]),
                    "changes": tuple(one["changes"]),
                    "problems": tuple(Problem(**problem) for problem in one.get("problems", ())),
                }
            )
            for one in listed
        )
        return Plan(**{**raw, "stages": tuple(raw["stages"]), "windows": windows})
    except SluiceError as error:
        raise PlanUnreadable(
            error.where, error.problem, allowed=error.allowed, next_step=error.next_step
        ) from None
    except (OSError, ImportError) as error:
        told = getattr(error, "strerror", None) or error
        raise PlanUnreadable(f"plan {address}", f"cannot be read: {told}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        told = f"it has no entry {error}" if isinstance(error, KeyError) else cut(text_of(error))
        raise PlanUnreadable(
            f"plan {address}", f"is no plan that this version understands: {told}", next_step=_AGAIN
        ) from None
