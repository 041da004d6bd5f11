"""What every test may use, and how workers (`pytest -n 2`) divide the tests."""

import importlib
import os
import pkgutil
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from resources.security.secrets import forget

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

pytest_plugins = ["tests.fixtures_servers", "tests.fixtures_postgres", "tests.matrix"]


# Servers live only for minutes, so full JIT compilation costs more time than it saves. With this option a
# real Kafka starts in three fifths of the processor time, and Apicurio in less than half.
_JAVA = "-XX:TieredStopAtLevel=1"


# There is no time limit for an example, because a machine may be busy. `make test` tries the same examples
# each time, so that its result depends only on the change; `make acceptance` tries new ones.
_BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", _BUSY, derandomize=True)
settings.register_profile("new", _BUSY)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("new" if config.getoption("--matrix") else "same")
    os.environ.setdefault("JAVA_TOOL_OPTIONS", _JAVA)
    # A background job of a shell ignores Ctrl-C,
    # and every process that a test sends it to would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Import what commands import when they run. A module that is first imported while a test has replaced a name that
    it imports would keep the replacement, for every later test of the process."""
    if "pipelines.cli.root" in sys.modules:
        cli = importlib.import_module("pipelines.cli")
        for module in pkgutil.walk_packages(cli.__path__, "pipelines.cli."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


@pytest.fixture(autouse=True)
def no_known_secrets() -> Iterator[None]:
    """Forgets the secrets of a test: what is a secret in one test is an ordinary word in another one."""
    yield
    forget()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "LoadFileScheduling":
    """Whole modules, because their tests share servers, in their order:
    the longest, acceptance and chaos, come first."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # it would sort by number of tests: the longest have few
    return LoadFileScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """No more output from here on: every test has been reported, and every server has stopped.

    Clients that tests left open, as a crash would leave them, log the lost broker once a second for as long
    as the process lives (a worker lives until the last one is done), and DuckDB logs at its end what it has
    not freed.
    """
    if capture := config.pluginmanager.getplugin("capturemanager"):
        capture.stop_global_capturing()  # it would restore the error stream later
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
        os.dup2(nowhere.fileno(), 2)
