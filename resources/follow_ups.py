"""Commands in messages. If `--env` has chosen the environment, each recommended command contains `--env` too;
without it the command would run in another environment."""

import os
import re

ENVIRONMENT = "SLUICE_ENV"
"""The variable that chooses an environment."""
CHOSEN_BY = "SLUICE_ENV_CHOSEN_BY"
"""Set by `--env` for this process and its children."""
_COMMAND = re.compile(r"(?<![\w./-])sluice (?=[a-z])")


def by_option(name: str) -> str:
    """The value of `CHOSEN_BY` if `--env` has chosen the environment `name`. A later change of SLUICE_ENV no
    longer matches it, and so counts as a new choice."""
    return f"--env {name}"


def follow_up(text: str) -> str:
    """`text`, in which each command (`sluice publish …`) is for the environment of this process."""
    name = os.environ.get(ENVIRONMENT)
    if not name or os.environ.get(CHOSEN_BY) != by_option(name):
        return text
    return _COMMAND.sub(f"sluice {by_option(name)} ", text)
