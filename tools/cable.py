"""A network cable between two replicas: what is dialled here arrives there, until somebody pulls it."""

from __future__ import annotations

import contextlib
import socket
import threading

LOOPBACK = "127.0.0.1"


class Cable:
    """Listens on ``port`` and passes everything on to ``target``, in both directions. Begins pulled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self.passed_bytes = 0
        """In both directions, for as long as there is this cable."""
        self._target: int | None = None
        self._ends: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def plug(self, port: int) -> None:
        """Connect what is dialled from now on to ``port``."""
        with self._lock:
            self._target = port

    def pull(self) -> None:
        """Break every connection; further ones are hung up at once."""
        with self._lock:
            self._target = None
            ends, self._ends = self._ends, set()
        for end in ends:
            _close(end)

    def close(self) -> None:
        """For good."""
        self.pull()
        _close(self._listener)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                with self._lock:
                    far = self._connected()
                    if far is not None:
                        self._ends |= {near, far}
                if far is None:
                    near.close()
                    continue
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _connected(self) -> socket.socket | None:
        if self._target is None:
            return None
        try:
            return socket.create_connection((LOOPBACK, self._target))
        except OSError:
            return None

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while received := source.recv(1 << 16):
                sink.sendall(received)
                with self._lock:
                    self.passed_bytes += len(received)
        _close(source)
        _close(sink)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
