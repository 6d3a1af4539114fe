"""Which of the things that a device says unasked mean that it has started afresh (UDA 2.0 clause 1.2). No I/O."""

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.upnp.ssdp import Kind, Notification, decode_notification, is_gateway

_UNKNOWN = -1


class BootWatch:
    """Follows the BOOTIDs of one gateway's devices. What it says is only a reason to look: anybody may forge it."""

    def __init__(self) -> None:
        self._boot_ids: dict[str, int | None] = {}

    def observe(self, data: bytes) -> bool:
        """Whether `data` is a device of a gateway saying that it is there, for the first time or after a restart.

        A BOOTID that is another, higher or lower, is a restart, unless an update named it before; so is an alive after
        a byebye.
        """
        try:
            notification = decode_notification(data)
        except ProtocolError:
            return False
        device = notification.usn.partition("::")[0]
        known = device in self._boot_ids
        if not known and (not is_gateway(notification.nt) or self._is_full()):
            return False  # any part of a known device speaks for it (clause 1.2.3)
        return self._follow(device, notification)

    def _follow(self, device: str, notification: Notification) -> bool:
        if notification.kind is Kind.BYEBYE:
            # Nothing is asked now: it is going down. What comes up is another.
            self._boot_ids[device] = _UNKNOWN
            return False
        if notification.kind is Kind.UPDATE:
            self._boot_ids[device] = notification.next_boot_id
            return False
        before = self._boot_ids.get(device, _UNKNOWN)
        self._boot_ids[device] = notification.boot_id
        return before != notification.boot_id

    def _is_full(self) -> bool:
        return len(self._boot_ids) >= limits.DEVICES_HEARD
