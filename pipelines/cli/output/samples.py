"""The note about sample events that were not loaded."""

from collections.abc import Collection

from pipelines.authoring.samples import to_get_them, why_left_out
from resources.wording import counted


def samples_note(left_out: Collection[str]) -> str:
    """A line that says that samples were left out, why, and how to get them; "" if there are none."""
    if not left_out:
        return ""
    return (
        f"{counted(len(left_out), 'sample event')} left out, because {why_left_out()}. "
        f"To load them: {to_get_them()}."
    )
