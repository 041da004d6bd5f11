"""What Dagster stores of an exception: its text and its stack, without secrets.

An error that Sluice raises contains no secret. Other errors come from libraries and from authors' modules.
Dagster stores them wherever they occur: in a step, a schedule, a sensor, or while a module loads. All of them
pass through one method.
"""

from pipelines.dagster_private import SerializableErrorInfo, store_errors_as
from resources.errors import readable


def guard_stored_errors() -> None:
    """Remove secrets from now on. A second call does no harm."""
    store_errors_as(_without_secrets)


def _without_secrets(found: SerializableErrorInfo) -> SerializableErrorInfo:
    # Dagster also passes the causes of an error to this function.
    return SerializableErrorInfo(
        message=readable(found.message),
        stack=[readable(line) for line in found.stack],
        cls_name=found.cls_name,
        cause=found.cause,
        context=found.context,
    )
