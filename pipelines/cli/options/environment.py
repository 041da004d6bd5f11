"""`--env NAME`, which every command takes, before or after its name."""

import os
from collections.abc import Callable

import click

from resources.follow_ups import CHOSEN_BY, ENVIRONMENT

_HELP = "Environment of sluice.toml, instead of SLUICE_ENV."
_OPTION = "env_option"


def env_option() -> click.Option:
    """The option itself. It may be repeated, so that different values are seen, instead of the last one only."""
    return click.Option(
        ["--env", _OPTION],
        metavar="NAME",
        multiple=True,
        is_eager=True,
        expose_value=False,
        callback=_choose,
        help=_HELP,
    )


def with_environment(command: click.Command) -> click.Command:
    """`command`, and the commands in it, with the option."""
    if all(parameter.name != _OPTION for parameter in command.params):
        command.params.append(env_option())
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            with_environment(inner)
    return command


def _choose(ctx: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> None:
    if not names:
        return
    root = ctx.find_root()
    for name in names:
        if not name.strip():
            raise click.BadParameter("names no environment", ctx, parameter)
        before = root.meta.setdefault(_OPTION, name)
        if before != name:
            raise click.BadParameter(f"{name!r}, and before it {before!r}: choose one", ctx, parameter)
    root.call_on_close(_restoring())
    from resources.process.start import begin_process
    from resources.settings.environments import choose

    choose(names[0])
    # What is secret in this environment, and who may read its files, is decided again.
    begin_process()


def _restoring() -> Callable[[], None]:
    """Undoes the selection of an environment: it is for this command only, because a program that calls
    several commands selects one for each. A command sets Dagster's home to that of its environment."""
    before = {variable: os.environ.get(variable) for variable in (ENVIRONMENT, CHOSEN_BY, "DAGSTER_HOME")}

    def restore() -> None:
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value

    return restore
