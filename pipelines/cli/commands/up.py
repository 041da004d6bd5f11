"""`sluice up`."""

import click


@click.command()
@click.option(
    "--apache", is_flag=True, help="A real Apache Kafka instead of the embedded broker (Java 17, Maven)."
)
@click.option("--no-sample", is_flag=True, help="Do not build the sample warehouse.")
def command(apache: bool, no_sample: bool) -> None:
    """Start a Kafka broker and a schema registry for a first look and for development.

    They run in the background on 127.0.0.1, on free ports, until `sluice down`; their data stay in .sluice/
    (SLUICE_HOME) and every other command finds them there. The sample warehouse is built once, as a DuckDB file.
    Running it again is harmless.

    \b
    Examples:
      sluice up              embedded broker, ready in a second, no Java
      sluice up --apache     Apache Kafka, as in production

    It never touches a server it did not start, and the embedded broker is not for production.
    """
    from pipelines.cli.actions.up import start_servers
    from pipelines.cli.output.tables import table
    from resources.follow_ups import follow_up
    from resources.settings import load_settings

    settings = load_settings()
    servers = start_servers(settings, "apache" if apache else "embedded", sample=not no_sample)
    rows = [
        ("Kafka", servers.kafka.kind, servers.bootstrap),
        ("registry", servers.registry.kind, servers.registry_url),
    ]
    if settings.uses_sample_warehouse and not no_sample:
        rows.append(("warehouse", "sample", str(settings.home / "sample.duckdb")))
    table(("running", "kind", "address"), rows)
    elsewhere = [
        f"{name} ({value})"
        for name, value, ours in (
            ("kafka.bootstrap.servers", settings.kafka.get("bootstrap.servers"), servers.bootstrap),
            ("registry.url", settings.registry.get("url"), servers.registry_url),
        )
        if value and value != ours and not settings.embedded
    ]
    if elsewhere:
        click.echo(f"\nNote: your settings point elsewhere, and they win: {', '.join(elsewhere)}.")
    click.echo("\nNext:")
    for told in (
        "  sluice list                            the events there are",
        "  sluice preview EVENT WINDOW            look before you publish",
        "  sluice publish EVENT WINDOW            onto the topic, exactly once",
        "  sluice down                            stop the servers; their data stay",
    ):
        click.echo(follow_up(told))
