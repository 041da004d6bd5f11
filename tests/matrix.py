"""Which cases of the tests run where:
`make test` has one case for each kind of server, `make acceptance` all of them.

A test that applies to several kinds (two brokers, two registries, two warehouses, two ways to produce) is
written once and parametrised with `one_of`: its first value is the default, the other ones are cases of the
*matrix*. A slow test that has a smaller test of the same kind is itself marked `@pytest.mark.matrix`. Without
`--matrix` these cases are left out, and the last line says how many. `--fast` runs only the rules: the tests
that need no server, no process and no real data.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.fixtures_servers import servers_of

# Fixtures that build the sample warehouse: this takes ten seconds, and tests with its real data are slow too.
_SAMPLES = {"sample", "sample_warehouse"}
_SLOW = ("slow", "kafka", "apicurio", "browser")
# Nearly each test of these folders starts a process, a server or a Dagster instance.
_SLOW_FOLDERS = tuple(
    f"tests/{folder}/"
    for folder in (
        "acceptance",
        "assets",
        "benchmarks",
        "chaos",
        "pipelines/cli",
        "pipelines/orchestration",
        "resources/dev/servers",
    )
)
_LEFT_OUT = "sluice_left_out"
_counted: pytest.StashKey[dict[str, int]] = pytest.StashKey()
_MATRIX, _FAST = "matrix", "fast"
_TOLD = {
    _MATRIX: "left out of the matrix (`make acceptance` runs all): {count} {cases}",
    _FAST: "left out because of a server or as slow (`make test` runs all): {count} {cases}",
}


def one_of(default: Any, *others: Any) -> list[Any]:
    """Parameters of which `make test` takes only the first, and `make acceptance` each one."""
    return [default, *(in_the_matrix(other) for other in others)]


def in_the_matrix(value: Any) -> Any:
    """A parameter that `make test` leaves out; it may be a pytest.param already."""
    if isinstance(value, type(pytest.param())):
        return pytest.param(*value.values, marks=[*value.marks, pytest.mark.matrix], id=value.id)
    return pytest.param(value, marks=pytest.mark.matrix)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sluice")
    group.addoption("--matrix", action="store_true", help="every case of the matrix too (make acceptance)")
    group.addoption(
        "--fast", action="store_true", help="only what needs no server and is not slow (make test-fast)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_counted] = {}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out: dict[str, list[pytest.Item]] = {_MATRIX: [], _FAST: []}
    kept = []
    for item in items:
        if config.getoption(_FAST) and _is_slow(item):
            left_out[_FAST].append(item)
        elif item.get_closest_marker(_MATRIX) and not config.getoption(_MATRIX):
            left_out[_MATRIX].append(item)
        else:
            kept.append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=[item for found in left_out.values() for item in found])
    counts = {why: len(found) for why, found in left_out.items() if found}
    config.stash[_counted] = counts
    if hasattr(config, "workeroutput"):
        config.workeroutput[_LEFT_OUT] = counts


def _is_slow(item: pytest.Item) -> bool:
    asked = {*getattr(item, "fixturenames", ())}
    is_marked = any(map(item.get_closest_marker, _SLOW)) or item.nodeid.startswith(_SLOW_FOLDERS)
    return bool(is_marked or servers_of(item) or asked & _SAMPLES)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # Every worker has collected the same tests.
    node.config.stash[_counted] = getattr(node, "workeroutput", {}).get(_LEFT_OUT, {})


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Writes the last line, after the summary."""
    yield
    config = session.config
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workeroutput"):
        for line in told(config.stash[_counted].items()):
            terminal.write_line(line)


def told(counts: Iterable[tuple[str, int]]) -> list[str]:
    """A line for each reason why tests were left out."""
    return [
        _TOLD[why].format(count=f"{count:,}", cases="case" if count == 1 else "cases")
        for why, count in counts
    ]
