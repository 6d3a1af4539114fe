"""Cancel a call at its k-th suspension, or at the k-th turn of the loop meanwhile, which is inside its tasks too."""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, Literal, TypeVar

import anyio

from tests import virtual

T = TypeVar("T")

Where = Literal["suspension", "turn"]


class Strike:
    """One cancellation to come: counts the moments, and cancels `scope` at the k-th."""

    def __init__(self, where: Where, k: int) -> None:
        self.where = where
        self._k = k
        self._moments = 0
        self.scope = anyio.CancelScope()
        self.time: float | None = None
        self._end = 0.0

    @property
    def seconds(self) -> float:
        """How long it took until the call was over."""
        return 0.0 if self.time is None else self._end - self.time

    @property
    def struck(self) -> bool:
        """Whether the moment has come."""
        return self.time is not None

    def moment(self) -> bool:
        """Count one; return whether it was the one."""
        self._moments += 1
        if self._moments != self._k:
            return False
        self.time = anyio.current_time()
        self.scope.cancel()
        return True

    async def run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """Return what `call` returns, None when it was cancelled."""
        try:
            return await self._run(call)
        finally:
            self._end = anyio.current_time()

    async def _run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        with self.scope:
            if self.where == "suspension":
                return await _Tapped(call(), self.moment)
            virtual.turns.append(self.moment)
            try:
                return await call()
            finally:
                virtual.turns.remove(self.moment)
        return None


class _Tapped(Awaitable[T], Generic[T]):
    """Drives a coroutine, and says each time that it suspends."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], moment: Callable[[], object]) -> None:
        self._coroutine = coroutine
        self._moment = moment

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._coroutine.__await__()
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            try:
                wish = steps.send(sent) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                result: T = end.value
                return result
            self._moment()
            sent = thrown = None
            try:
                sent = yield wish
            except BaseException as error:  # noqa: BLE001 - handed on to the coroutine
                thrown = error
