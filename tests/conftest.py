"""What every test may ask for, and how workers (`pytest -n 2`) share out the tests."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

pytest_plugins = ["tests.fixtures_servers", "tests.fixtures_postgres"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "LoadFileScheduling":
    """Whole modules, whose tests share servers, in their order: the longest, of acceptance and chaos, come first."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # by the number of tests, of which the longest modules have few
    return LoadFileScheduling(config, log)
