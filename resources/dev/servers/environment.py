"""The part of this process's environment that a server for development gets: what a program
needs to run, and no settings.

The embedded broker and registry, Apache Kafka and Apicurio get a file or options of their own. The
environment of `sluice up` may contain passwords of production. These servers do not need them, and the
passwords would be readable there as long as the servers run.
"""

import os
from collections.abc import Mapping

from resources.security.masking import mask

_NEEDED = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "LANG", "LANGUAGE", "TMPDIR", "TEMP", "TMP",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "JAVA_HOME", "JAVA_TOOL_OPTIONS", "VIRTUAL_ENV", "XDG_RUNTIME_DIR",
    "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "COVERAGE_PROCESS_START",
}  # fmt: skip
# A program that fetches files needs the variables for proxies and mirrors, but not
# variables with these prefixes.
_OF_SLUICE = ("SLUICE_", "DAGSTER_", "PG")


def clean_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that any program needs, and no others."""
    environ = os.environ if environ is None else environ
    kept = {
        name: value
        for name, value in environ.items()
        if name in _NEEDED or name.startswith(("LC_", "OPENBLAS_"))
    }
    # Options of Java may also contain a password.
    return {name: value for name, value in kept.items() if mask(name, value) == value}


def without_settings(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """All variables except those of Sluice, Dagster and PostgreSQL: for a program that
    fetches files from the network."""
    environ = os.environ if environ is None else environ
    return {name: value for name, value in environ.items() if not name.startswith(_OF_SLUICE)}
