"""Launchers that answer questions about runs like those of containers, without any container."""

from typing import Any

import dagster as dg
from dagster._core.launcher import (
    CheckRunHealthResult,
    DefaultRunLauncher,
    LaunchRunContext,
    ResumeRunContext,
    RunLauncher,
    WorkerStatus,
)
from dagster._serdes import ConfigurableClass, ConfigurableClassData


class AnsweringLauncher(RunLauncher[Any], ConfigurableClass):
    """Answers `answer` for every run, or raises if the answer is "raises"."""

    def __init__(self, answer: str, password: str = "", resumes: bool = False) -> None:
        super().__init__()
        self.answer, self.password, self.resumes = answer, password, resumes
        self.asked: list[str] = []
        self.launched: list[str] = []
        self.terminated: list[str] = []
        self.resumed: list[str] = []
        self.ended = 0

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return None

    @classmethod
    def config_type(cls) -> Any:
        return {
            "answer": str,
            "password": dg.Field(dg.StringSource, is_required=False),
            "resumes": dg.Field(bool, is_required=False),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Any:  # noqa: ARG003
        return cls(**config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        self.launched.append(context.dagster_run.run_id)

    def terminate(self, run_id: str) -> bool:
        self.terminated.append(run_id)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        self.asked.append(run.run_id)
        if self.answer == "raises":
            raise ConnectionError("the cluster does not answer")
        return CheckRunHealthResult(WorkerStatus[self.answer], "as it was told to say")

    @property
    def supports_resume_run(self) -> bool:
        return self.resumes

    def resume_run(self, context: ResumeRunContext) -> None:
        self.resumed.append(context.dagster_run.run_id)

    def get_run_worker_debug_info(
        self, run: dg.DagsterRun, include_container_logs: bool | None = True
    ) -> str:
        return f"debug info of {run.run_id}, {include_container_logs}"

    def dispose(self) -> None:
        self.ended += 1


class ClusterLauncher(AnsweringLauncher):
    """Cannot be created on a machine without its cluster."""

    def __init__(self, answer: str) -> None:
        raise ConnectionError(f"no cluster here, {answer}")


class QuietLauncher(DefaultRunLauncher):
    """Dagster's own launcher under another name; it cannot answer questions about runs."""
