"""How long to wait for an answer of a UPnP device before the same is asked again. No I/O."""

from portmapper import limits

_QUESTION = "a question"
_HARMLESS = ("Get", "Check")


def is_question(name: str) -> bool:
    """Whether an action changes nothing."""
    return name.startswith(_HARMLESS)


class Pace:
    """What the answers of a device tell of how fast it is: with all questions alike, with each change by itself.

    The fastest answer counts: others were waited for because packets were lost. But a device that has become slow, and
    does one thing after the other, would be busy with copies for good. So it is taken to be half as fast as before when
    it says nothing at all, or answers the first request after all and not a copy, several times in turn.
    """

    def __init__(self) -> None:
        self._fastest: dict[str, float] = {}
        self._late: dict[str, int] = {}  # how many times in turn

    def answered(self, name: str, seconds: float, *, first: bool) -> None:
        """Note that an action was answered after so long, and whether that was the first request or a copy."""
        kind = _kind(name)
        if first and kind in self._fastest and seconds > self.pause(name):
            self._note_late(name, seconds)
        else:
            self._late[kind] = 0
            self._fastest[kind] = min(self._fastest.get(kind, seconds), seconds)

    def silent(self, name: str) -> None:
        """Note that an action was not answered in the time that there is."""
        self._note_late(name, limits.HTTP_EXCHANGE)

    def pause(self, name: str) -> float:
        """Return the seconds after which an action is asked again: twice what it took before."""
        return max(limits.ASK_AGAIN, 2 * self._fastest.get(_kind(name), limits.ASK_UNKNOWN))

    def _note_late(self, name: str, most: float) -> None:
        kind = _kind(name)
        self._late[kind] = self._late.get(kind, 0) + 1
        if self._late[kind] >= limits.ASK_LATE:
            self._fastest[kind] = min(self.pause(name), most)


def _kind(name: str) -> str:
    return _QUESTION if is_question(name) else name
