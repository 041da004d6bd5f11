"""Run configuration of an event: what an operator may say when launching a run or a backfill."""

from dataclasses import dataclass
from typing import Literal

import dagster as dg

# Fields, not a dg.Config class: inferring the schema from a class anew for each of 500 events takes a second.
CONFIG = {
    "reason": dg.Field(
        str, default_value="", description="Why; kept in the ledger and in the headers of corrections."
    ),
    "on_definition_change": dg.Field(
        dg.Enum("OnDefinitionChange", [dg.EnumValue("ask"), dg.EnumValue("correct")]),
        default_value="ask",
        description="What to do with a window published by another version of the module or contract, if its "
        "events differ: `ask` fails the window and says how many; `correct` publishes the difference.",
    ),
}


@dataclass(frozen=True)
class RunConfig:
    """An event's run configuration, as CONFIG declares it."""

    reason: str
    on_definition_change: Literal["ask", "correct"]
