"""A TCP proxy that passes a number of bytes of a server's answers, and then closes the connection."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Cutter:
    """`port` is where it listens;
    `seen` counts the bytes that the server sent, `limit` is how many are passed."""

    port: int
    limit: int | None = None
    seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def passes(self, size: int) -> int:
        """How many of the next `size` bytes are passed."""
        with self._lock:
            left = size if self.limit is None else max(self.limit - self.seen, 0)
            self.seen += size
            return min(size, left)


@contextmanager
def cutting(target: int) -> Iterator[Cutter]:
    """A proxy in front of 127.0.0.1:`target`."""
    listener = socket.create_server(("127.0.0.1", 0))
    cutter = Cutter(listener.getsockname()[1])
    threads = [threading.Thread(target=_accept, args=(listener, target, cutter), daemon=True)]
    threads[0].start()
    try:
        yield cutter
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        threads[0].join(5)


def _accept(listener: socket.socket, target: int, cutter: Cutter) -> None:
    pumps = []
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            break
        server = socket.create_connection(("127.0.0.1", target))
        for pump in (_pump_up, _pump_down):
            pumps.append(threading.Thread(target=pump, args=(client, server, cutter), daemon=True))
            pumps[-1].start()
    for pump_thread in pumps:
        pump_thread.join(5)


def _pump_up(client: socket.socket, server: socket.socket, _: Cutter) -> None:
    with suppress(OSError):
        while data := client.recv(65536):
            server.sendall(data)
    _drop(client, server)


def _pump_down(client: socket.socket, server: socket.socket, cutter: Cutter) -> None:
    with suppress(OSError):
        while data := server.recv(65536):
            through = cutter.passes(len(data))
            client.sendall(data[:through])
            if through < len(data):
                break
    _drop(client, server)


def _drop(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
