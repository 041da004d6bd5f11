"""`sluice register`."""

import click


@click.command()
@click.argument("event", required=False)
def command(event: str | None) -> None:
    """Register the contract of an event, or of all, with the schema registry.

    The subject is <topic>-value. Compatibility is asked first; a contract that would break its consumers is
    refused with the registry's reasons, and the others are still registered. Registering twice is harmless.

    \b
    Examples:
      sluice register flight_departed
      sluice register

    It never publishes, and never changes a subject's compatibility level.
    """
    from pipelines.cli.choosing import chosen
    from pipelines.cli.failures import when_stopped
    from pipelines.cli.findings import show
    from pipelines.preflight.finding import Finding, failures_of
    from pipelines.publishing.preflight import PreflightFailed, subject_of
    from resources.errors import SluiceError
    from resources.platform import Platform

    _, events, whole = chosen(event)
    failed = 0
    done: list[str] = []
    with (
        Platform() as platform,
        when_stopped(lambda: f"Stopped. Registered: {', '.join(done) or 'nothing'}."),
    ):
        for one in events:
            subject, text = subject_of(one.topic), one.contract.text
            try:
                known = platform.registry.lookup(subject, text)
                if known is not None:
                    findings = [Finding("already there", "ok", f"{subject}, schema id {known}")]
                else:
                    problems = platform.registry.check_compatible(subject, text)
                    if problems:
                        raise PreflightFailed(
                            f"{one.contract.path.name}, subject {subject}",
                            "is not compatible with the registered contract: " + "; ".join(problems),
                            next_step="give new fields a default, or publish a new version of the topic (….v2)",
                        )
                    schema_id = platform.registry.register(subject, text)
                    findings = [Finding("registered", "ok", f"{subject}, schema id {schema_id}")]
                done.append(subject)
            except SluiceError as error:
                findings = failures_of("refused", error)
            failed += any(not found.ok for found in show(findings, indent=""))
    if failed or not whole:
        raise SystemExit(1)
