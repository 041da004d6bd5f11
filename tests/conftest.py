"""What every test may ask for, and how workers (`pytest -n 2`) share out the tests."""

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


# Servers live for minutes: what the compiler of a long life would gain is less than it takes. A real Kafka so starts in
# three fifths of the processor time, Apicurio in less than half.
_JAVA = "-XX:TieredStopAtLevel=1"


# On a busy machine an example takes as long as it takes. `make test` tries the same examples each time, so that it says
# something about the change; `make acceptance` tries new ones.
_BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", _BUSY, derandomize=True)
settings.register_profile("new", _BUSY)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("new" if config.getoption("--matrix") else "same")
    os.environ.setdefault("JAVA_TOOL_OPTIONS", _JAVA)
    # A background job of a shell ignores Ctrl-C, and so would every process that a test sends it to.
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
    """What one test learns as a secret is an ordinary word of another one."""
    yield
    forget()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "LoadFileScheduling":
    """Whole modules, whose tests share servers, in their order: the longest, of acceptance and chaos, come first."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # by the number of tests, of which the longest modules have few
    return LoadFileScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Quiet from here on: every test has been told of, and every server has stopped.

    Clients that tests left as a crash would leave them speak of the lost broker once a second for as long as the
    process lives (a worker lives until the last one is done), and DuckDB of what it has not freed at its end.
    """
    if capture := config.pluginmanager.getplugin("capturemanager"):
        capture.stop_global_capturing()  # it would bring the error stream back later
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
        os.dup2(nowhere.fileno(), 2)
