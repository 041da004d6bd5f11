"""The errors of servers that Sluice starts itself."""

from pathlib import Path

from resources.errors import SluiceError


class ServerUnavailable(SluiceError):
    """This machine cannot run the server: something it needs (Java, Maven, a wheel) is missing."""

    def __init__(self, server: str, problem: str, *, next_step: str) -> None:
        self.server = server
        super().__init__(server, problem, next_step=next_step)


class ServerFailed(SluiceError):
    """The server was started and did not become ready; its log says why."""

    def __init__(self, server: str, problem: str, *, log: Path, log_tail: str = "") -> None:
        self.server = server
        self.log = log
        self.log_tail = log_tail
        quoted = f"; its last words were:\n{log_tail}\n" if log_tail else ""
        super().__init__(server, f"{problem}{quoted}", next_step=f"read {log}")


class OtherKindRunning(SluiceError):
    """`up` was called for one kind of server while another kind runs in the same home."""

    def __init__(self, home: Path, role: str, running: str, asked: str) -> None:
        self.home, self.role, self.running, self.asked = home, role, running, asked
        super().__init__(
            f"servers in {home}",
            f"the {role} that runs here is {running!r}, not {asked!r}; the two keep separate data",
            next_step="stop it first with `sluice down`, or use another home",
        )
