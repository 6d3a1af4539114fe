"""What a NAT-PMP message cannot carry cannot be made (RFC 6886 section 3.3)."""

from typing import Any

import pytest

from portmapper.errors import InvalidRequest
from portmapper.model import Protocol
from portmapper.natpmp.wire import MapRequest

FIELDS: dict[str, Any] = {
    "protocol": Protocol.TCP,
    "internal_port": 65535,
    "external_port": 65535,
    "lifetime": 2**32 - 1,
}


@pytest.mark.parametrize(
    "changes",
    [{"internal_port": -1}, {"internal_port": 65536}, {"external_port": -1}, {"external_port": 65536},
     {"lifetime": -1}, {"lifetime": 2**32}, pytest.param({"protocol": "sctp"}, marks=pytest.mark.conforms("NP-78"))],
)  # fmt: skip
def test_values_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        MapRequest(**{**FIELDS, **changes})


def test_the_largest_values_fit() -> None:
    assert MapRequest(**FIELDS).encode() == bytes.fromhex("00020000 ffffffff ffffffff")
