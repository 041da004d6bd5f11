"""The Java runtime that the real servers need."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from resources.dev.servers.environment import clean_environment
from resources.dev.servers.errors import ServerUnavailable

MINIMUM = 17


def java_program(server: str) -> str:
    """The absolute path of `java`, from JAVA_HOME or PATH; raises ServerUnavailable
    if it is older than Java 17."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    found = found or shutil.which("java")
    if found is None:
        raise ServerUnavailable(
            server,
            f"it needs Java {MINIMUM} or newer, and there is no `java` on PATH or in JAVA_HOME",
            next_step=f"install a Java {MINIMUM} runtime; the embedded servers need none",
        )
    version = _version(found)
    if version is None or version < MINIMUM:
        raise ServerUnavailable(
            server,
            f"it needs Java {MINIMUM} or newer, and {found} is {version or 'not answering'}",
            next_step=f"install a Java {MINIMUM} runtime and point JAVA_HOME at it",
        )
    return found


@cache
def _version(java: str) -> int | None:
    try:
        said = subprocess.run(
            [java, "-version"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=clean_environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    return int(match[1]) if match else None
