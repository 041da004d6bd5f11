"""`sluice` itself: the commands by name, loaded one by one, and what a user sees when one of them fails."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from pipelines.cli.options.environment import env_option, with_environment
from pipelines.cli.output.errors import Stopped, tell
from resources.errors import SluiceError, readable
from resources.follow_ups import follow_up

# In the order in which a newcomer needs them, not in alphabetical order.
_SECTIONS: dict[str, dict[str, str]] = {
    "First look": {
        "demo": "See it work: servers, sample data, one week of events, read back.",
        "up": "Start an embedded broker and registry, and build the sample warehouse.",
        "down": "Stop the servers that `up` started.",
        "doctor": "Every setting, and whether what it points at can be reached.",
        "env": "Which environment is in force, the others, and where each setting comes from.",
    },
    "Write an event": {
        "init": "Start a project: a repository for the events of a team.",
        "list": "All events, and what is wrong with those that do not load.",
        "new": "Draft a module and a contract from a table's columns.",
        "check": "Try an event against its contract, warehouse, registry and topic.",
        "preview": "Decoded events of one window, without publishing them.",
        "register": "Register contracts, after checking their compatibility.",
    },
    "Run it": {
        "publish": "Publish windows of an event, each exactly once.",
        "plan": "What publishing or replaying would do; nothing is written. Or do it: --apply.",
        "replay": "Publish again what was published: windows, keys, a range of time.",
        "dead-letters": "Rows that did not fit their contract: counts by reason, and the rows themselves.",
        "redrive": "After a fix: publish the rows that were dead letters and now fit.",
        "pause": "Hold a publication back at its next chunk boundary.",
        "resume": "Let a paused publication go on.",
        "cancel": "End a publication at its next chunk boundary.",
        "status": "What is on the topics, window by window, from the ledger.",
        "history": "What happened to an event: checked, registered, published, accepted, first read.",
        "tail": "The newest events of a topic, decoded.",
        "verify": "Read published windows back and compare them, record by record.",
        "ledger": "Where the ledger is valid: accept another topic, cluster, store or code location.",
        "ui": "Dagster's web server and daemon on this project.",
        "webserver": "Dagster's web server alone, guarded, for a server installation.",
    },
}


class _Commands(click.Group):
    """A group that imports a command only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [name for section in _SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"pipelines.cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return with_environment(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from resources.errors import did_you_mean

            known = self.list_commands(ctx)
            raise click.UsageError(
                f"there is no command {args[0]!r}.{did_you_mean(args[0], known)}\nCommands: {', '.join(known)}",
                ctx,
            ) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()), col_max=12)

    def invoke(self, ctx: click.Context) -> Any:
        from resources.process.waiting import telling

        try:
            with telling(lambda text: click.echo(f"  {text}", err=True)):
                return super().invoke(ctx)
        except SluiceError as error:
            tell(error)
            code = 1
        except click.ClickException as error:
            # The message quotes what was typed.
            vars(error)["message"] = follow_up(readable(error.message))
            raise
        except Stopped as stopped:
            click.echo(f"\n{follow_up(str(stopped))}", err=True)
            code = 130
        except KeyboardInterrupt:
            click.echo("\nStopped. Nothing was changed by this command.", err=True)
            code = 130
        # After the exception handlers: the exception that ends the process must not refer to the stopped
        # frames. Otherwise DuckDB, whose cursors live as long as these, reports a leak at the end.
        return ctx.exit(code)


def _version() -> str:
    try:
        return version("sluice")
    except PackageNotFoundError:
        return "(run from the tree, not installed)"


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(_version(), message="sluice %(version)s")
def sluice() -> None:
    """Warehouse rows to Kafka events, in batch, exactly once.

    An event is one module and one contract under assets/. New here? `sluice demo` takes a minute and needs
    nothing but this. `sluice COMMAND --help` says what a command does and what it never does.
    """


sluice.params.insert(0, env_option())
