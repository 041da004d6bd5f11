"""A command that Sluice recommends is for the environment of this process: pasted, it never runs in another one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pipelines.cli.output.errors import lines_of
from pipelines.cli.root import sluice as commands
from resources.errors import Problem
from resources.settings import ROOT
from resources.settings.environments import choose

# A Problem that is not made from a SluiceError is printed as it is, for programs too.
PRINTING = {"echo", "secho", "print", "heading", "Problem"}
COMMAND = re.compile(
    rf"(?<![\w./-])sluice ({'|'.join(map(re.escape, commands.list_commands(click.Context(commands))))})\b"
)
# The commands after `sluice init` are for the new project, which declares none of this project's environments.
OF_ANOTHER_PROJECT = {Path("pipelines/cli/actions/init.py")}


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def texts(node: ast.AST) -> Iterator[ast.Constant]:
    """The texts below `node` that do not pass through `follow_up`."""
    if isinstance(node, ast.Call) and name_of(node) == "follow_up":
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    for inner in ast.iter_child_nodes(node):
        yield from texts(inner)


def bare_commands(source: str) -> list[str]:
    """The commands that `source` prints without `follow_up`."""
    printing = [
        one for one in ast.walk(ast.parse(source)) if isinstance(one, ast.Call) and name_of(one) in PRINTING
    ]
    return [
        f"{text.lineno}: {text.value.strip()}"
        for call in printing
        for text in texts(call)
        if isinstance(text.value, str) and COMMAND.search(text.value)
    ]


def test_every_printed_command_passes_through_follow_up() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{bare}"
        for folder in ("pipelines", "resources")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.relative_to(ROOT) not in OF_ANOTHER_PROJECT
        for bare in bare_commands(path.read_text(encoding="utf-8"))
    ]
    assert not found, found


@pytest.mark.parametrize(
    "source",
    ['click.echo(f"\\nNext: sluice publish {event} {window}")', 'print("x", "`sluice ledger adopt`")'],
)
def test_the_rule_finds_a_bare_command(source: str) -> None:
    assert bare_commands(source)
    assert not bare_commands(re.sub(r'(f?"[^"]*sluice[^"]*")', r"follow_up(\1)", source))


def test_problems_and_warnings_carry_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SLUICE_ENV", "SLUICE_ENV_CHOSEN_BY"):
        monkeypatch.setenv(variable, "")  # so that it is restored
    choose("stage")
    told = lines_of(Problem("x", "run `sluice verify x`", next_step="sluice publish x 2024-01-01"))
    assert told == [
        "x: run `sluice --env stage verify x`",
        "  next:    sluice --env stage publish x 2024-01-01",
    ]
