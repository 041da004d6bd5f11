"""The work of `sluice register`."""

from pipelines.cli.options.events import chosen
from pipelines.cli.output.destination import say_destination
from pipelines.cli.output.errors import warn, when_stopped
from pipelines.cli.output.findings import show
from pipelines.journal.milestones import milestones_at_end, registration
from pipelines.preflight.finding import Finding, failures_of
from pipelines.preflight.provisioning import PreflightFailed, subject_of
from pipelines.preflight.rules.contract import make_compatible, require_finished
from resources.errors import SluiceError
from resources.identity import this_user
from resources.platform import Platform


def run(event: str | None) -> None:
    """The command; its help explains the options."""
    meant = chosen(event)
    failed = 0
    done: list[str] = []
    with (
        Platform() as platform,
        milestones_at_end(platform.settings, warn=warn) as milestones,
        when_stopped(lambda: f"Stopped. Registered: {', '.join(done) or 'nothing'}."),
    ):
        say_destination(platform.settings)
        for one in meant.events:
            subject, text = subject_of(one.topic), one.contract.text
            try:
                warnings = require_finished(one, platform.settings, subject)
                known = platform.registry.lookup(subject, text)
                if known is not None:
                    findings = [Finding("already there", "ok", f"{subject}, schema id {known}")]
                else:
                    problems = platform.registry.check_compatible(subject, text)
                    if problems:
                        raise PreflightFailed(
                            f"{one.contract.path.name}, subject {subject}",
                            "is not compatible with the registered contract: " + "; ".join(problems),
                            next_step=make_compatible(problems),
                        )
                    schema_id = platform.registry.register(subject, text)
                    milestones.append(
                        registration(one, subject, schema_id, during="register", by=this_user())
                    )
                    findings = [Finding("registered", "ok", f"{subject}, schema id {schema_id}")]
                findings += warnings
                done.append(subject)
            except SluiceError as error:
                findings = failures_of("refused", error)
            failed += any(not found.ok for found in show(findings, indent=""))
    if failed or not meant.whole:
        raise SystemExit(1)
