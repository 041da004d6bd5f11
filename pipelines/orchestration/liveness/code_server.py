"""The code servers to which Dagster's default launcher gives runs: asks them about a run,
and restarts one that died."""

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.dagster_private import (
    GRPC_INFO_TAG,
    CanCancelExecutionRequest,
    CanCancelExecutionResult,
    DagsterGrpcClient,
    DagsterUserCodeUnreachableError,
    GetCurrentRunsResult,
    deserialize_value,
    load_yaml_from_path,
)

_RELOAD_SECONDS = 60
_LOOK_EVERY_SECONDS = 2.0
_LONGEST_WAIT_SECONDS = 60.0
_log = logging.getLogger(__name__)


def left_by_its_server(run: dg.DagsterRun) -> bool | None:
    """Whether the code server that was given a run has ended or does not know the run. False if it knows the
    run, or if no code server starts the run. None if it is not known: the server does not answer and may be
    on another host, or it was restarted and its predecessor may have the run. Call it on the host of the
    daemon."""
    info = _server_of(run)
    if info is None:
        return False
    client = _client(info)
    try:
        found = deserialize_value(client.get_current_runs(), GetCurrentRunsResult)
        return not found.serializable_error_info and run.run_id not in found.current_runs
    except DagsterUserCodeUnreachableError:
        pass
    # Nobody answers, or only the keeper of a code server does.
    # A keeper answers for its newest server, but not this request.
    try:
        asked = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id))
        return False if deserialize_value(asked, CanCancelExecutionResult).can_cancel else None
    except DagsterUserCodeUnreachableError:
        if _is_kept(client):
            return True
    # The socket file of a killed server remains.
    # If there is no file, or a port is used, the server may be on another host.
    socket = info.get("socket")
    return True if socket and Path(socket).exists() else None


def revive_server(run: dg.DagsterRun) -> None:
    """If the code server of a lost run has died, let its keeper start a new one."""
    info = _server_of(run)
    if info is not None:
        client = _client(info)
        if not _answers(client):
            _start_anew(client)


def keep_code_servers(
    workspace: Path, over: threading.Event, *, look_every_seconds: float = _LOOK_EVERY_SECONDS
) -> None:
    """Until `over`: restart each code server of a workspace file that has answered before and no longer does.

    The keeper of a code server (`dagster code-server start`) does not see that its server has died. Until
    somebody reloads the code, no schedule, sensor or backfill would continue. A server that never answered
    must be fixed by its author.
    """
    found: Any = load_yaml_from_path(str(workspace))
    entries = [entry.get("grpc_server") for entry in found["load_from"]]
    kept = [_Kept(_client(entry), look_every_seconds) for entry in entries if entry]
    while not over.wait(look_every_seconds):
        for one in kept:
            one.look()


class _Kept:
    """A code server, and how long to wait before it is restarted again."""

    def __init__(
        self,
        client: DagsterGrpcClient,
        wait_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._shortest, self._clock = client, wait_seconds, clock
        self._has_answered, self._wait_seconds, self._not_before = False, wait_seconds, 0.0

    def look(self) -> None:
        if _answers(self._client):
            self._has_answered, self._wait_seconds, self._not_before = True, self._shortest, 0.0
        elif self._has_answered and self._clock() >= self._not_before:
            _log.warning("a code server has ended; it is started anew")
            _start_anew(self._client)
            self._not_before = self._clock() + self._wait_seconds
            self._wait_seconds = min(2 * self._wait_seconds, _LONGEST_WAIT_SECONDS)


def _answers(client: DagsterGrpcClient) -> bool:
    try:
        client.ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True


def _is_kept(client: DagsterGrpcClient) -> bool:
    """Whether a keeper exists that answers this request itself, although its code server does not."""
    try:
        client.heartbeat("")
    except DagsterUserCodeUnreachableError:
        return False
    return True


def _start_anew(client: DagsterGrpcClient) -> None:
    if _is_kept(client):
        with suppress(DagsterUserCodeUnreachableError):
            client.reload_code(timeout=_RELOAD_SECONDS)


def _server_of(run: dg.DagsterRun) -> dict[str, Any] | None:
    told = run.tags.get(GRPC_INFO_TAG)
    found: dict[str, Any] | None = json.loads(told) if told else None
    return found


def _client(info: dict[str, Any]) -> DagsterGrpcClient:
    return DagsterGrpcClient(
        host=info.get("host") or "localhost",
        port=info.get("port"),
        socket=info.get("socket"),
        use_ssl=bool(info.get("use_ssl", False)),
    )
