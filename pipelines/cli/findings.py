"""One thing that was looked at and what was found: the lines of `check` and `doctor`."""

from collections.abc import Iterable
from dataclasses import dataclass

import click

from pipelines.cli.failures import paragraphs
from resources.errors import SluiceError


@dataclass(frozen=True)
class Finding:
    """`name` was looked at; `told` is the result in a few words, `error` what is wrong with it."""

    name: str
    told: str = ""
    error: SluiceError | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


def show(findings: Iterable[Finding], *, indent: str = "  ") -> list[Finding]:
    """Print each as it comes, one line for what is well and the whole problem for what is not."""
    shown = []
    for finding in findings:
        shown.append(finding)
        if finding.error is None:
            click.echo(f"{indent}{click.style('ok', fg='green')}    {finding.name:<18}{finding.told}")
            continue
        said: set[str] = set()
        for number, (head, *rest) in enumerate(paragraphs(finding.error)):
            name = finding.name if number == 0 else ""
            click.echo(f"{indent}{click.style('FAIL', fg='red')}  {name:<18}{head}")
            # Twenty wrong columns share one list of what is allowed; once is enough to read it.
            new = [line for line in rest if line not in said]
            said.update(new)
            for line in new:
                click.echo(f"{indent}      {'':<18}{line.strip()}")
    return shown
