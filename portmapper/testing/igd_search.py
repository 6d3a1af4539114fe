"""What a simulated gateway says by SSDP."""

import re

from portmapper import limits
from portmapper.errors import ProtocolError
from portmapper.testing.igd_description import DESCRIPTION_PATH, Service, Site
from portmapper.testing.igd_switches import IgdSwitches
from portmapper.upnp import ssdp

DEVICE = "urn:schemas-upnp-org:device"
_ALL, _ROOT = "ssdp:all", "upnp:rootdevice"
_MX = re.compile(rb"^MX *:", re.IGNORECASE | re.MULTILINE)
_HEADER = re.compile(rb"^([^:\r\n]+):", re.MULTILINE)
_TYPE = re.compile(r"(urn:[^:]+:(?:device|service):[^:]+):([0-9]{1,9})")


def answers_to(
    data: bytes, *, switches: IgdSwitches, site: Site, services: list[Service], boot_id: int | None
) -> list[bytes]:
    """Return the datagrams that answer an M-SEARCH: none, or one for each target that fits."""
    try:
        target = ssdp.decode_search(data)
    except ProtocolError:
        return []
    if not _is_heard(data, target, switches):
        return []
    return [
        datagram
        for one in _targets(target, switches, services)
        for datagram in _datagrams(_answer(one, switches, site, boot_id), switches)
    ]


def notification_of(
    kind: ssdp.Kind,
    nt: str,
    *,
    switches: IgdSwitches,
    site: Site,
    boot_id: int | None,
    next_boot_id: int | None,
) -> bytes:
    """Return what the device says unasked of its part `nt`."""
    gone = kind is ssdp.Kind.BYEBYE
    notification = ssdp.Notification(
        kind=kind,
        nt=nt,
        usn=_usn(nt, switches),
        location="" if gone else _location(switches, site),
        server=switches.server if kind is ssdp.Kind.ALIVE else "",
        boot_id=boot_id,
        config_id=switches.config_id,
        next_boot_id=next_boot_id,
    )
    return ssdp.encode_notification(notification, host=f"{limits.SSDP_GROUP}:{limits.SSDP_PORT}")


def _is_heard(data: bytes, target: str, switches: IgdSwitches) -> bool:
    if not (switches.answers_multicast if _MX.search(data) else switches.answers_unicast):
        return False
    names = tuple(name.decode("latin-1").strip() for name in _HEADER.findall(data.partition(b"\n")[2]))
    if switches.search_headers is not None and names != switches.search_headers:
        return False
    return switches.search_targets is None or target in switches.search_targets


def _targets(target: str, switches: IgdSwitches, services: list[Service]) -> tuple[str, ...]:
    """Return the targets that are answered to a search for `target`."""
    kinds = ("InternetGatewayDevice", "WANDevice", "WANConnectionDevice")
    devices = tuple(f"{DEVICE}:{kind}:{switches.version}" for kind in kinds)
    own = (_ROOT, switches.udn, *devices, *dict.fromkeys(one.service_type for one in services))
    if target == _ALL:
        return own if switches.all_targets is None else switches.all_targets
    # A device answers for the version it is asked for, if that is not above its own.
    return (target,) if any(target == one or _is_earlier(target, one) for one in own) else ()


def _is_earlier(target: str, own: str) -> bool:
    asked, has = _TYPE.fullmatch(target), _TYPE.fullmatch(own)
    return bool(asked and has and asked[1] == has[1] and int(asked[2]) <= int(has[2]))


def _answer(target: str, switches: IgdSwitches, site: Site, boot_id: int | None) -> bytes:
    return ssdp.encode_answer(
        ssdp.Answer(
            location=_location(switches, site),
            target=target,
            usn=_usn(target, switches),
            server=switches.server,
            boot_id=boot_id,
            config_id=switches.config_id,
        )
    )


def _location(switches: IgdSwitches, site: Site) -> str:
    return site.fill(switches.location, path=DESCRIPTION_PATH)


def _usn(target: str, switches: IgdSwitches) -> str:
    return target if target == switches.udn else f"{switches.udn}::{target}"


def _datagrams(answer: bytes, switches: IgdSwitches) -> list[bytes]:
    if switches.cache_control_twice:
        answer = answer.replace(b"\r\n", b"\r\nCACHE-CONTROL: max-age=120\r\n", 1)
    if switches.lower_case_headers:
        answer = _HEADER.sub(lambda name: name[0].lower(), answer)
    if switches.no_final_crlf:
        answer = answer.removesuffix(b"\r\n")
    return [switches.rubbish_first, answer] if switches.rubbish_first else [answer]
