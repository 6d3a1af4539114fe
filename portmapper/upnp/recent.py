"""A dictionary that stays small."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from portmapper import limits

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """What was noted last, by key, in the order of noting; of more than `limits.REMEMBERED` the oldest go."""

    def __init__(self) -> None:
        self._items: dict[K, V] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return iter(tuple(self._items.items()))

    def note(self, key: K, value: V) -> None:
        """Keep `value` as the latest."""
        self._items.pop(key, None)
        self._items[key] = value
        if len(self._items) > limits.REMEMBERED:
            del self._items[next(iter(self._items))]

    def drop(self, key: K) -> V | None:
        """Return what is kept and keep it no more."""
        return self._items.pop(key, None)
