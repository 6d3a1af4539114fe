"""Findings and verdict as an object for programs. No I/O."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, cast

from portmapper.doctor.findings import Findings
from portmapper.doctor.problem import Problem
from portmapper.doctor.verdict import Verdict
from portmapper.model import Endpoint, Gateway, MappingRequest
from portmapper.state.folder import NotedMapping

Object = dict[str, Any]
_MILLISECONDS = 3


def doctor_object(verdict: Verdict, findings: Findings) -> Object:
    """Return the object for an examination; its keys are part of the public interface, those of `evidence` are not."""
    return {
        "event": "doctor",
        "verdict": verdict.code,
        "well": verdict.well,
        "headline": verdict.headline,
        "advice": list(verdict.advice),
        "others": [_problem(one) for one in verdict.others],
        "evidence": plain(findings),
    }


def _problem(one: Problem) -> Object:
    return {"verdict": one.code, "well": not one.blocking, "headline": one.headline, "advice": list(one.advice)}


def plain(value: object) -> Any:
    """Return a value as JSON has it: bytes in hexadecimal digits, seconds to the millisecond."""
    for kind, convert in _CONVERSIONS.items():
        if isinstance(value, kind):
            return convert(value)
    if isinstance(value, float):
        return round(value, _MILLISECONDS)
    if isinstance(value, tuple):
        return [plain(one) for one in cast("tuple[object, ...]", value)]
    if is_dataclass(value):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    return value


def _endpoint(value: Endpoint) -> Object:
    return {"address": plain(value.address), "port": value.port}


def _gateway(value: Gateway) -> Object:
    return {
        "address": str(value.address),
        "source": str(value.source),
        "interface": value.interface,
        "tunnel": value.tunnel,
    }


def _request(value: MappingRequest) -> Object:
    return {"protocol": value.protocol, "internal_port": value.internal_port, "external_port": value.external_port}


def _noted(value: NotedMapping) -> Object:
    note = value.note
    return {
        "program": value.program,
        "pid": value.pid,
        "living": value.living,
        "state": note.state,
        "backend": note.backend,
        "external": plain(note.external),
    }


_CONVERSIONS: dict[type, Callable[[Any], Any]] = {
    Endpoint: _endpoint,
    Gateway: _gateway,
    MappingRequest: _request,
    NotedMapping: _noted,
    bytes: bytes.hex,
    IPv4Address: str,
    IPv6Address: str,
    IPv4Network: str,
    IPv6Network: str,
}
