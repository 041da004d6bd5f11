"""The work of `sluice env`."""

import json

import click

from pipelines.cli.output.tables import heading, table
from resources.errors import readable
from resources.follow_ups import ENVIRONMENT
from resources.settings import Settings, SettingsError, load_settings, settings_of_environments, shared_places


def run(as_json: bool) -> None:
    """The command; its help explains the options."""
    settings, others = load_settings(), settings_of_environments()
    shared = list(shared_places({name: one for name, one in others.items() if isinstance(one, Settings)}))
    if as_json:
        click.echo(json.dumps(_as_json(settings, others, shared), indent=2))
        return
    click.echo(_in_force(settings))
    click.echo(settings.destination())
    heading("Settings")
    values = settings.printable()
    table(
        ("setting", "value", "from"),
        [(name, value or "-", str(settings.origin(name))) for name, value in values.items()],
    )
    if others:
        heading("Environments")
        table(
            ("environment", "Kafka", "registry", "topic prefix", "warehouses", "home"),
            [_row(name, one, settings) for name, one in others.items()],
        )
    for name, one in others.items():
        if isinstance(one, SettingsError):
            click.echo(f"\n{name}: {one}")
    for problem, next_step in shared:
        click.echo(f"\nWarning: {problem}\n  next:    {next_step}", err=True)


def _in_force(settings: Settings) -> str:
    names = ", ".join(settings.environments)
    if settings.environment:
        chosen = settings.environment
        return f"Environment {chosen.name}, chosen by {chosen.chosen_by}; {settings.file} declares {names}."
    if names:
        return f"No environment is chosen; {settings.file} declares {names}. Choose one with --env or {ENVIRONMENT}."
    return f"No environment is chosen, and {settings.file} declares none: docs/settings.md#environments"


def _row(name: str, one: Settings | SettingsError, settings: Settings) -> tuple[str, ...]:
    chosen = " *" if settings.environment and settings.environment.name == name else ""
    if isinstance(one, SettingsError):
        return f"{name}{chosen}", "cannot be read, see below", "", "", "", ""
    shown = one.printable()
    return (
        f"{name}{chosen}",
        shown.get("kafka.bootstrap.servers", "-"),
        shown.get("registry.url", "-"),
        one.topic_prefix or "-",
        ", ".join(sorted(one.warehouses)),
        str(one.home),
    )


def _as_json(
    settings: Settings, others: dict[str, Settings | SettingsError], shared: list[tuple[str, str]]
) -> dict[str, object]:
    chosen = settings.environment
    return {
        "environment": {"name": chosen.name, "chosen_by": chosen.chosen_by} if chosen else None,
        "file": str(settings.file),
        "settings": [
            {
                "name": name,
                "value": value,
                "from": (origin := settings.origin(name)).kind,
                "place": readable(origin.place) or None,
            }
            for name, value in settings.printable().items()
        ],
        "environments": [
            {"name": name, "error": str(one)}
            if isinstance(one, SettingsError)
            else {
                "name": name,
                "kafka": one.printable().get("kafka.bootstrap.servers"),
                "registry": one.printable().get("registry.url"),
                "topic_prefix": one.topic_prefix,
                "warehouses": {key: one.printable()[f"warehouse.{key}"] for key in sorted(one.warehouses)},
                "snapshots": one.printable()["snapshots"],
                "home": str(one.home),
            }
            for name, one in others.items()
        ],
        "warnings": [{"problem": problem, "next": next_step} for problem, next_step in shared],
    }
