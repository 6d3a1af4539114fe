"""Routes and candidates as lines that can be read, and the fixtures they come from."""

from pathlib import Path
from textwrap import dedent

from portmapper.gateway.tables.ranking import rank
from portmapper.gateway.tables.route import Route

_FIXTURES = Path(__file__).parent / "fixtures"


def fixture(name: str) -> str:
    return (_FIXTURES / f"{name}.txt").read_text(encoding="utf-8")


def fixtures() -> list[str]:
    """Return the names of all fixtures."""
    return sorted(path.stem for path in _FIXTURES.glob("*.txt"))


def table(text: str) -> list[str]:
    """Return the lines of a table in a test, without what was only put in to line them up."""
    return [" ".join(line.split()) for line in dedent(text).strip().splitlines()]


def shown(routes: list[Route]) -> list[str]:
    """Return each route as one line: network, then what there is of gateway, interface, metric and source."""
    return [_route(route) for route in routes]


def ranked(routes: list[Route]) -> list[str]:
    """Return each candidate as one line: usable or not, gateway, interface, its network, source, and the reasons."""
    return [
        f"{'yes' if one.usable else 'no'} | {one.gateway or '-'} | {one.interface or '-'} | {one.network or '-'}"
        f" | {one.source or '-'} | {'; '.join(one.reasons)}"
        for one in rank(routes)
    ]


def _route(route: Route) -> str:
    words = [str(route.network)]
    words += ["via", str(route.gateway)] if route.gateway is not None else []
    words += ["dev", route.interface] if route.interface else []
    words += ["metric", str(route.metric)] if route.metric else []
    words += ["scoped"] if route.scoped else []
    words += ["src", str(route.source)] if route.source is not None else []
    return " ".join(words)


# What is recorded of one host, in its main table.
IPV6 = table("""
    ::/0          via fe80::7%eth0  dev eth0  metric 12 scoped
    2001:db8::/64                   dev eth0  metric 256
    2000::/3                        dev tun0  metric 1024
    ::/1          via 2001:db8::99  dev eth0  metric 1024
    fe80::/64                       dev eth0  metric 256
    fe80::/64                       dev wlan0 metric 256
    fe80::/64                       dev tun0  metric 256
    8000::/1      via 2001:db8::99  dev eth0  metric 1024
    ::/0          via fe80::1%eth0  dev eth0  metric 100
    ::/0          via fe80::1%eth0  dev eth0  metric 1024
    ::/0          via fe80::2%wlan0 dev wlan0 metric 1024
    ::/0                            dev tun0  metric 2000
""")
