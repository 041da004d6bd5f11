"""`sluice env`."""

import click


@click.command(name="env")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def command(as_json: bool) -> None:
    """Show which environment is in force, the other ones, and where each setting comes from.

    Environments are the [env.NAME] tables of sluice.toml; --env or SLUICE_ENV chooses one. A setting comes from a variable,
    else from the table of the environment, else from the top of sluice.toml, else it is the default. Secrets are masked.

    \b
    Examples:
      sluice env
      sluice env --env stage
      SLUICE_ENV=prod sluice env --json | jq -r .environment.name

    It connects to nothing and changes nothing; `sluice doctor` tries to reach what the settings name.
    """
    from pipelines.cli.actions.env import run

    run(as_json)
