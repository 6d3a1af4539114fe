"""PORT[:EXTERNAL][/PROTOCOL], and what it stands for."""

import pytest

from portmapper import InvalidRequest, limits
from portmapper.cli.options.ports import parse_ports


def asked(*texts: str, external: int | None = None) -> list[str]:
    """Return what `texts` ask for, as INTERNAL:EXTERNAL/PROTOCOL."""
    requests = [request for wish in parse_ports(texts, external=external) for request in wish.requests]
    return [f"{one.internal_port}:{one.external_port}/{one.protocol}" for one in requests]


@pytest.mark.parametrize(
    ("text", "requests"),
    [
        ("8080", ["8080:0/tcp"]),
        ("8080:80", ["8080:80/tcp"]),
        ("8080:0", ["8080:0/tcp"]),
        ("8080:80/UDP", ["8080:80/udp"]),
        ("8080/both", ["8080:0/tcp", "8080:0/udp"]),
        ("8080:80/Both", ["8080:80/tcp", "8080:80/udp"]),
        ("8000-8002", ["8000:0/tcp", "8001:0/tcp", "8002:0/tcp"]),
        ("8000-8000", ["8000:0/tcp"]),
        ("8000-8001:0", ["8000:0/tcp", "8001:0/tcp"]),
        ("8000-8001:9000", ["8000:9000/tcp", "8001:9001/tcp"]),
        ("8000-8001:9000-9001/udp", ["8000:9000/udp", "8001:9001/udp"]),
        ("8000-8001:9000/both", ["8000:9000/tcp", "8000:9000/udp", "8001:9001/tcp", "8001:9001/udp"]),
        ("5000/sctp", ["5000:0/sctp"]),
        ("all", ["0:0/tcp"]),
        ("all/gre", ["0:0/gre"]),
    ],
)
def test_what_a_word_stands_for(text: str, requests: list[str]) -> None:
    assert asked(text) == requests


def test_several_are_asked_for_in_their_order() -> None:
    assert asked("9000/udp", "8000-8001", "7000") == ["9000:0/udp", "8000:0/tcp", "8001:0/tcp", "7000:0/tcp"]


@pytest.mark.parametrize(("text", "request_"), [("8080", "8080:80/tcp"), ("8080/udp", "8080:80/udp")])
def test_the_external_port_of_a_single_one_has_an_option(text: str, request_: str) -> None:
    assert asked(text, external=80) == [request_]


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["web"], "'web' is not PORT"),
        (["8000-"], "is not PORT"),
        (["-8000"], "is not PORT"),
        (["8000-8010-8020"], "is not PORT"),
        (["8080:80:81"], "is not PORT"),
        (["8080\n"], "is not PORT"),
        (["\u0668\u0660"], "is not PORT"),
        (["all-9000"], "is not PORT"),
        (["8010-8000"], "ends before it begins"),
        (["8000-8010:9000-9009"], "11 ports and another number of external ones"),
        (["8000:9000-9001"], "another number of external ones"),
        (["8000-9000"], f"more than {limits.COMMAND_PORTS} ports"),
        (["1-99999"], "more than"),
        (["1-80/both"], "one command opens at most"),
        (["1-100", "1001-1100"], "one command opens at most"),
        (["65530-65540"], "port must be 1 to 65535"),
        (["8000-8010:65530"], "external port must be 0 to 65535"),
        (["8080", "8080"], "8080/tcp is named twice"),
        (["8080", "8080:80/both"], "8080/tcp is named twice"),
        (["8000-8010", "8005"], "8005/tcp is named twice"),
        (["all/both"], "all/tcp all/udp"),
        (["8080/gre"], "gre has no ports"),
        (["8080/"], "protocol must be"),
    ],
)
def test_nonsense_is_refused(texts: list[str], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        parse_ports(texts)


@pytest.mark.parametrize("texts", [["8080", "8081"], ["8080:81"], ["8000-8001"]])
def test_the_option_for_the_external_port_goes_with_one_port(texts: list[str]) -> None:
    with pytest.raises(InvalidRequest, match="--external goes with one port"):
        parse_ports(texts, external=80)
