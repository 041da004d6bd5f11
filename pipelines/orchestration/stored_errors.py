"""What Dagster stores of an exception: its text and its stack, without secrets.

An error that Sluice raises holds none. Others come from libraries and from authors' modules, and Dagster stores them
wherever they occur: in a step, a schedule, a sensor, while a module loads. All go through one method.
"""

from pipelines.dagster_private import SerializableErrorInfo, store_errors_as
from resources.errors import readable


def guard_stored_errors() -> None:
    """From now on. Harmless twice."""
    store_errors_as(_without_secrets)


def _without_secrets(found: SerializableErrorInfo) -> SerializableErrorInfo:
    # Its causes come here by themselves.
    return SerializableErrorInfo(
        message=readable(found.message),
        stack=[readable(line) for line in found.stack],
        cls_name=found.cls_name,
        cause=found.cause,
        context=found.context,
    )
