"""Checks whether Dagster's run monitoring would mark a run of a terminal as failed while it works."""

from importlib import import_module

import dagster as dg

from pipelines.dagster_private import ConfigurableClassData, DefaultRunLauncher
from pipelines.orchestration.liveness.launcher import (
    MODULE_IN_DAGSTER_YAML,
    SluiceRunLauncher,
    knows_heartbeats,
)
from resources.errors import SluiceError

_POLL_SECONDS = 20


def require_left_alone(instance: dg.DagsterInstance) -> None:
    """Raise SluiceError if run monitoring asks a launcher that knows nothing about a terminal's run."""
    if problem := monitoring_problem(instance):
        raise problem


def monitoring_problem(instance: dg.DagsterInstance) -> SluiceError | None:
    """What must be changed in `dagster.yaml` before a terminal's run is safe; None: it is safe."""
    if not instance.run_monitoring_enabled or not _condemns(instance):
        return None
    launcher = _configured(instance)
    name = launcher.class_name if launcher else type(instance.run_launcher).__name__
    return SluiceError(
        "dagster.yaml",
        f"run monitoring asks {name} about every run; it does not know this one, so Dagster would mark it as failed while it "
        "publishes and give its place in the topic's pool away, or never learn that it died",
        next_step="put Sluice's launcher around it, for the daemon and for every process that uses this Dagster; it "
        f"changes nothing else (docs/operating.md#lost-runs):\n\n{wrapped(launcher)}",
    )


def monitoring_advice(instance: dg.DagsterInstance) -> str | None:
    """What `dagster.yaml` lacks so that lost runs are found within three minutes
    even if no code server runs; None: nothing."""
    configured = _configured(instance)
    lacks = []
    if not instance.run_monitoring_enabled or instance.run_monitoring_poll_interval_seconds > _POLL_SECONDS:
        lacks.append(f"run_monitoring:\n  enabled: true\n  poll_interval_seconds: {_POLL_SECONDS}")
    if not _knows(configured):
        default = configured is None or configured.class_name == DefaultRunLauncher.__name__
        lacks.append(wrapped(None if default else configured))
    return "write into dagster.yaml (docs/operating.md#lost-runs):\n\n" + "\n".join(lacks) if lacks else None


def wrapped(launcher: ConfigurableClassData | None) -> str:
    """The lines of `dagster.yaml` that put Sluice's launcher around `launcher`;
    None: around Dagster's default one."""
    lines = [
        "run_launcher:",
        f"  module: {MODULE_IN_DAGSTER_YAML}",
        f"  class: {SluiceRunLauncher.__name__}",
    ]
    if launcher is not None:
        lines += ["  config:", "    launcher:"]
        lines += [f"      module: {launcher.module_name}", f"      class: {launcher.class_name}"]
        if launcher.config_dict:
            # The configuration is not repeated: it may contain secrets.
            lines += ["      config:", "        # here the lines that stand below `config:` now"]
    return "\n".join(lines)


def _configured(instance: dg.DagsterInstance) -> ConfigurableClassData | None:
    reference = instance.get_ref() if instance.is_persistent else None
    return reference.run_launcher_data if reference else None


def _knows(configured: ConfigurableClassData | None) -> bool:
    """Whether the configured class knows heartbeats. The launcher itself may be impossible to create here: a
    launcher of containers needs its cluster."""
    if configured is None:
        return False
    try:
        return knows_heartbeats(getattr(import_module(configured.module_name), configured.class_name))
    except (ImportError, AttributeError):  # a package that is not installed on this machine
        return False


def _condemns(instance: dg.DagsterInstance) -> bool:
    if _knows(_configured(instance)):
        return False
    try:
        launcher = instance.run_launcher
    except Exception:  # of any launcher that cannot be created here; it is none of Dagster's own
        return True
    return not knows_heartbeats(type(launcher)) and launcher.supports_check_run_worker_health
