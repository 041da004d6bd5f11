"""The schema of an event's run configuration, which also refuses values that contradict each other.

Dagster checks a schema when a run is launched. So the run, or the backfill, is refused before a run exists
that could fail.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.dagster_private import (
    DagsterUserCodeProcessError,
    PostProcessingError,
    SerializableErrorInfo,
    refuse_at_launch,
)
from pipelines.orchestration.config import CONFIG, RunConfig
from resources.errors import SluiceError


class _Unsound(PostProcessingError, DagsterUserCodeProcessError):
    """Of this error Dagster shows the text. For any other error of a schema it shows a stack trace."""

    def __init__(self, text: str) -> None:
        info = SerializableErrorInfo(text, [], None)
        DagsterUserCodeProcessError.__init__(self, text, user_code_process_error_infos=[info])  # type: ignore[no-untyped-call]


def _sound(value: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        RunConfig(**value).require_sound()
    except SluiceError as error:
        raise _Unsound(str(error)) from None
    return value


refuse_at_launch(CONFIG, _sound)
SCHEMA = CONFIG
