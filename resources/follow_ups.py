"""Commands in messages. Where `--env` has chosen the environment, a command that a message recommends carries it too:
without it the command would run in another environment."""

import os
import re

ENVIRONMENT = "SLUICE_ENV"
"""The variable that chooses an environment."""
CHOSEN_BY = "SLUICE_ENV_CHOSEN_BY"
"""Set by `--env` for this process and its children."""
_COMMAND = re.compile(r"(?<![\w./-])sluice (?=[a-z])")


def by_option(name: str) -> str:
    """What `CHOSEN_BY` says of an environment that `--env` has chosen. Whoever changes SLUICE_ENV later chooses anew."""
    return f"--env {name}"


def follow_up(text: str) -> str:
    """`text` with its commands (`sluice publish …`) for the environment that this one runs in."""
    name = os.environ.get(ENVIRONMENT)
    if not name or os.environ.get(CHOSEN_BY) != by_option(name):
        return text
    return _COMMAND.sub(f"sluice {by_option(name)} ", text)
