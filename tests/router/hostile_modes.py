"""The attacks of a hostile device, by name: what it answers to a search, with its description and to requests."""

import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from socket import inet_aton

from tests.router.hostile_attacks import BOMBS, CHARSETS, LARGE, REDIRECTS, SLOW, Attack, Scene, honest

FLOOD_TIME = 4.0
WAN, GROUP = "8.8.4.2", "239.255.255.250"
TRUTH = "http://{host}:{port}/desc.xml"
UNANSWERED = "http://{host}:7/"  # the lab drops what goes there


@dataclass(frozen=True, slots=True)
class Voice:
    """How a device answers a search: from its own address, or forging another."""

    scene: Scene
    port: int
    """Of the one who searches."""
    say: Callable[[bytes], None]
    forge: Callable[[bytes], None]
    """Sends a whole IPv4 packet."""

    def answer(self, location: str, *, source: str = "", usn: str = "uuid:hostile", target: str = "") -> None:
        """Answer with a LOCATION, from `source` if that is somebody else."""
        data = self.scene.fill(
            "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\n"
            f"LOCATION: {location}\r\nSERVER: hostile\r\nST: {target or DEVICE}\r\nUSN: {usn}\r\n\r\n"
        ).encode()
        if source:
            self.forge(_packet(self.scene.fill(source), self.scene.lan, self.port, data))
        else:
            self.say(data)

    def notify(self, number: int) -> None:
        """Say to the group, unasked, that a device is there."""
        data = self.scene.fill(
            f"NOTIFY * HTTP/1.1\r\nHOST: {GROUP}:1900\r\nCACHE-CONTROL: max-age=1800\r\nLOCATION: {TRUTH}\r\n"
            f"NT: {DEVICE}\r\nNTS: ssdp:alive\r\nSERVER: hostile\r\nUSN: uuid:{number}::{DEVICE}\r\n"
            f"BOOTID.UPNP.ORG: {number}\r\n\r\n"
        ).encode()
        self.forge(_packet(self.scene.host, GROUP, 1900, data))


DEVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
Search = Callable[[Voice], None]


def _packet(source: str, target: str, port: int, data: bytes) -> bytes:
    datagram = struct.pack("!HHHH", 1900, port, 8 + len(data), 0) + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0)
    return head + inet_aton(source) + inet_aton(target) + datagram


def _plain(location: str) -> Search:
    return lambda voice: voice.answer(location)


def truthfully(voice: Voice) -> None:
    """Answer as a device should."""
    voice.answer(TRUTH)


def _flood(*locations: str, sources: tuple[str, ...] = ("",)) -> Search:
    """Answer for some seconds without a pause, with another USN and LOCATION each time."""

    def search(voice: Voice) -> None:
        end = time.monotonic() + FLOOD_TIME
        for number in _numbers(end):
            location = locations[number % len(locations)] + f"/{number}"
            source = sources[number % len(sources)]
            voice.answer(location, source=source, usn=f"uuid:{number}::{DEVICE}")

    return search


def _restarts(voice: Voice) -> None:
    """Answer, and then say without a pause that another device is there, or has started afresh."""
    truthfully(voice)
    for number in _numbers(time.monotonic() + FLOOD_TIME):
        voice.notify(number)


def _numbers(end: float) -> Iterator[int]:
    number = 0
    while time.monotonic() < end:
        yield number
        number += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One device. `posts` has the attacks in the answers to certain actions, which it carries out all the same.

    With `truth` it answers each search honestly as well.
    """

    search: Search = truthfully
    truth: bool = False
    get: Attack = honest
    posts: Mapping[str, Attack] = field(default_factory=dict[str, Attack])
    url_base: str = ""
    control: str = "/ctl"
    version: int = 1


ELSEWHERE = {
    "wan": "http://{wan}:8080/",
    "wan-https": "https://{wan}/",
    "wan-as-a-number": "http://{number}:8080/",
    "wan-mapped": "http://[::ffff:{wan}]:8080/",
    "wan-with-userinfo": "http://{host}@{wan}:8080/",
    "wan-with-port-and-userinfo": "http://{host}:{port}@{wan}:8080/",
    "wan-behind-a-backslash": "http://{wan}:8080\\@{host}:{port}/",
    "wan-behind-a-hash": "http://{wan}:8080#@{host}:{port}/",
    "wan-behind-a-tab": "http://\t{wan}:8080/",
    "far": "http://11.0.0.1:5000/",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "loopback": "http://127.0.0.1:8080/",
    "loopback-short": "http://127.1:8080/",
    "loopback-octal": "http://0177.0.0.1:8080/",
    "loopback-number": "http://2130706433:8080/",
    "loopback-6": "http://[::1]:8080/",
    "loopback-mapped": "http://[::ffff:127.0.0.1]:8080/",
    "loopback-6to4": "http://[2002:7f00:1::]:8080/",
    "unspecified": "http://0.0.0.0:8080/",
    "this-host": "http://{lan}:8080/",
    "broadcast": "http://255.255.255.255:8080/",
    "group": "http://239.255.255.250:8080/",
    "localhost": "http://localhost:8080/",
    "name": "http://router.example:8080/",
    "name-of-an-address": "http://{wan}.nip.io:8080/",
    "idn": "http://\u2460\u2461\u2466.0.0.1:8080/",
    "file": "file:///etc/passwd",
    "ftp": "ftp://{wan}/",
    "gopher": "gopher://{wan}:8080/_x",
    "unix": "http+unix://%2Frun%2Fdocker.sock/",
    "relative": "//{wan}:8080/",
    "empty-host": "http:///",
    "port-0": "http://{host}:0/",
    "port-99999": "http://{host}:99999/",
    "brackets": "http://[",
    "crlf": "http://{wan}:8080/%0d%0aX: y",
    "long": "http://{wan}:8080/" + "x" * 1200,
}
NEIGHBOUR = {
    "neighbour": "http://{neighbour}:8080/",
    "neighbour-80": "http://{neighbour}/",
    "neighbour-with-userinfo": "http://{host}@{neighbour}:8080/",
    "neighbour-relative": "//{neighbour}:8080/ctl",
}
_CONTROLS = {
    "backslashes": "\\\\{wan}:8080\\ctl",
    "http-backslashes": "http:\\\\{wan}:8080\\ctl",
    "tab": "\t//{wan}:8080/ctl",
    "newline": "\n//{wan}:8080/ctl",
    "triple": "///{wan}:8080/ctl",
    "dots": "/../..//{wan}:8080/ctl",
}

_LAST = ("GetSpecificPortMappingEntry later", "GetExternalIPAddress")
ACTIONS = (
    "GetNATRSIPStatus",
    "AddPortMapping",
    "GetSpecificPortMappingEntry",
    *_LAST,
)
LISTS = ("GetGenericPortMappingEntry", "GetListOfPortMappings")


def _in_action(action: str, attack: Attack) -> Mode:
    return Mode(posts={action: attack}, version=2 if action == "GetListOfPortMappings" else 1)


def _described(attacks: Mapping[str, Attack]) -> dict[str, Mode]:
    return {f"get {name}": Mode(get=attack) for name, attack in attacks.items()}


def _answered(actions: tuple[str, ...], attacks: Mapping[str, Attack]) -> dict[str, Mode]:
    return {f"{action} {name}": _in_action(action, attack) for action in actions for name, attack in attacks.items()}


def _all_actions(attack: Attack) -> Mode:
    return Mode(posts=dict.fromkeys((*ACTIONS, *LISTS, "GetConnectionTypeInfo", "DeletePortMapping"), attack))


_SOME = {
    name: attack
    for name, attack in {**SLOW, **LARGE, **REDIRECTS, **BOMBS}.items()
    if name
    in {"silence", "late-hang-up", "drip-length", "600-mb-chunked", "endless-100", "redirect-307-wan", "billion-laughs"}
}

FLOODS = {
    "flood own": Mode(search=_flood("http://{host}:{port}/none")),
    "flood elsewhere": Mode(search=_flood("http://{wan}:8080", "http://{neighbour}:8080", "http://127.0.0.1:8080")),
    "flood from-wan": Mode(search=_flood("http://{wan}:8080", "http://{host}:{port}/none", sources=("{wan}",))),
    "flood from-far-and-wide": Mode(
        search=_flood("http://{wan}:8080", sources=tuple(f"11.{n}.{n}.1" for n in range(200)))
    ),
}
TRUE_FLOODS = {
    f"{name} and-the-truth": Mode(search=_flood(*locations, sources=sources), truth=True)
    for name, locations, sources in (
        ("flood from-wan", ("http://{wan}:8080",), ("{wan}",)),
        ("flood from-neighbour", ("http://{wan}:8080",), ("{neighbour}",)),
        ("flood from-neighbours", ("http://{wan}:8080",), tuple(f"{{net}}.{n}" for n in range(10, 250))),
    )
}
NEIGHBOURS = {
    "neighbour itself": Mode(search=_flood("http://{neighbour}:8080", sources=("{neighbour}",))),
    "neighbour for-the-gateway": Mode(search=_flood("http://{host}:{port}/none", sources=("{neighbour}",))),
}

CLASSES: dict[str, dict[str, Mode]] = {
    "honest": {"honest": Mode()},
    "slow": {**_described(SLOW), "get unanswered": Mode(search=_plain(UNANSWERED))},
    "large": _described(LARGE),
    "redirects": _described(REDIRECTS),
    "bombs": _described(BOMBS),
    "charsets": _described(CHARSETS),
    "locations": {f"location {name}": Mode(search=_plain(url)) for name, url in {**ELSEWHERE, **NEIGHBOUR}.items()},
    "bases": {f"base {name}": Mode(url_base=url) for name, url in {**ELSEWHERE, **NEIGHBOUR}.items()},
    "controls": {f"control {name}": Mode(control=url) for name, url in {**ELSEWHERE, **NEIGHBOUR, **_CONTROLS}.items()},
    "requests slow": {**_answered(ACTIONS, SLOW), "control unanswered": Mode(control=UNANSWERED)},
    "deletes": _answered(("DeletePortMapping",), SLOW),
    "requests large": _answered(("AddPortMapping", *_LAST), LARGE),
    "requests redirected": _answered(("AddPortMapping",), REDIRECTS),
    "requests bombed": _answered(_LAST[:1], BOMBS),
    "requests charsets": _answered(_LAST[:1], CHARSETS),
    "everything": {f"everything {name}": _all_actions(attack) for name, attack in _SOME.items()},
    "lists": _answered(LISTS, _SOME),
    "floods": FLOODS,
    "true floods": TRUE_FLOODS,
    "neighbours": NEIGHBOURS,
    "restarts": {"restarts": Mode(search=_restarts)},
}
MODES: dict[str, Mode] = {name: mode for modes in CLASSES.values() for name, mode in modes.items()}


def scene(number: int, port: int = 0) -> Scene:
    """Return the addresses of the network that the mode of this number has."""
    net = f"10.{66 + number // 250}.{number % 250}"
    return Scene(host=f"{net}.1", lan=f"{net}.2", neighbour=f"{net}.3", wan=WAN, port=port)
