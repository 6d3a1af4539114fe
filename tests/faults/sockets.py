"""The library's sockets, of which the k-th call fails, or every one for a while."""

import errno
import socket
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
import sniffio
from anyio.abc import SocketStream

from portmapper.net import datagram, stream

F = TypeVar("F", bound=Callable[..., Any])

ERRNOS = (
    errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EPERM, errno.EACCES, errno.ENETUNREACH,
    errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.ECONNREFUSED, errno.EAGAIN,
    errno.EINTR, errno.ENODEV,
)  # fmt: skip
COUNTED = (
    "bind",
    "connect",
    "send",
    "sendto",
    "recv",
    "recvfrom",
    "recvmsg",
    "setsockopt",
    "getsockopt",
    "getsockname",
)


class Faults:
    """Which calls fail: the k-th, or all for which `always` says so."""

    def __init__(self) -> None:
        self.calls = 0
        self.k = 0
        self.number = 0
        self.always: Callable[[str], bool] = lambda _: False
        self.failed = 0

    def count(self, name: str) -> None:
        """Count a call. Raises OSError if it is to fail."""
        self.calls += 1
        if self.calls == self.k or self.always(name):
            self.failed += 1
            raise OSError(self.number, f"injected into {name}")


@contextmanager
def injected(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> Iterator[None]:
    """Have the sockets of `portmapper.net` fail as `faults` says; those of the simulated gateway stay sound."""
    kind = _failing(faults)
    with monkeypatch.context() as patch:
        for module in (datagram, stream):
            patch.setattr(module, "socket", _module_with(kind))
        patch.setattr(stream, "SocketStream", _Streams(faults))
        yield


def _failing(faults: Faults) -> type[socket.socket]:
    class FailingSocket(socket.socket):
        __slots__ = ()

        def __init__(self, *arguments: Any, **options: Any) -> None:
            faults.count("socket")
            super().__init__(*arguments, **options)

    def failing(name: str) -> Callable[..., Any]:
        genuine = getattr(socket.socket, name)

        def call(self: socket.socket, *arguments: Any) -> Any:
            faults.count(name)
            return genuine(self, *arguments)

        return call

    for name in COUNTED:
        setattr(FailingSocket, name, failing(name))
    return FailingSocket


class _Streams:
    """Takes the place of anyio's class: trio takes no socket of another class, so its connections do not fail later."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def from_socket(self, sock: socket.socket) -> SocketStream:
        if sniffio.current_async_library() == "trio":
            sock.__class__ = socket.socket
        return await SocketStream.from_socket(sock)


def _module_with(kind: type[socket.socket]) -> types.ModuleType:
    module = types.ModuleType("socket")
    vars(module).update(vars(socket), socket=kind)
    return module
