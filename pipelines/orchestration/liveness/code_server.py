"""The code servers that Dagster's default launcher gives runs to: what they say of a run, and a new one for one that died."""

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
    """Whether the code server that a run was given to has ended or knows nothing of the run; None: that cannot be said, for it
    does not answer and may be on another host, or it has been started anew and its predecessor may have the run. False also
    where no code server starts the run. To be asked on the host of the daemon."""
    info = _server_of(run)
    if info is None:
        return False
    client = _client(info)
    try:
        found = deserialize_value(client.get_current_runs(), GetCurrentRunsResult)
        return not found.serializable_error_info and run.run_id not in found.current_runs
    except DagsterUserCodeUnreachableError:
        pass
    # Nobody is there, or the keeper of a code server, which answers for its newest one, and not to that question.
    try:
        asked = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id))
        return False if deserialize_value(asked, CanCancelExecutionResult).can_cancel else None
    except DagsterUserCodeUnreachableError:
        if _is_kept(client):
            return True
    # The socket of a server that was killed stays behind. Where there is none, or a port, the server may be on another host.
    socket = info.get("socket")
    return True if socket and Path(socket).exists() else None


def revive_server(run: dg.DagsterRun) -> None:
    """Have the keeper of the code server of a lost run start a new one, if its own has died."""
    info = _server_of(run)
    if info is not None:
        client = _client(info)
        if not _answers(client):
            _start_anew(client)


def keep_code_servers(
    workspace: Path, over: threading.Event, *, look_every_seconds: float = _LOOK_EVERY_SECONDS
) -> None:
    """Until `over`: each code server of a workspace file that has answered and does so no more is started anew.

    The keeper of a code server (`dagster code-server start`) does not see that its own has died: until somebody reloads
    the code, no schedule, sensor or backfill would go on. One that never answered waits for its author.
    """
    found: Any = load_yaml_from_path(str(workspace))
    entries = [entry.get("grpc_server") for entry in found["load_from"]]
    kept = [_Kept(_client(entry), look_every_seconds) for entry in entries if entry]
    while not over.wait(look_every_seconds):
        for one in kept:
            one.look()


class _Kept:
    """A code server, and how long to wait before it is started anew once more."""

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
    """Whether a keeper is there that answers this itself, although its code server does not."""
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
