"""The result codes of PCP and what they mean (RFC 6887 section 7.4, RFC 7652 section 7, RFC 7843). No I/O."""

from enum import IntEnum

from portmapper import limits
from portmapper.errors import RequestRefused


class Result(IntEnum):
    """Every code that is registered (RFC 6887 sections 7.4 and 19.3)."""

    SUCCESS = 0
    UNSUPP_VERSION = 1
    NOT_AUTHORIZED = 2
    MALFORMED_REQUEST = 3
    UNSUPP_OPCODE = 4
    UNSUPP_OPTION = 5
    MALFORMED_OPTION = 6
    NETWORK_FAILURE = 7
    NO_RESOURCES = 8
    UNSUPP_PROTOCOL = 9
    USER_EX_QUOTA = 10
    CANNOT_PROVIDE_EXTERNAL = 11
    ADDRESS_MISMATCH = 12
    EXCESSIVE_REMOTE_PEERS = 13
    INITIATION = 14
    AUTHENTICATION_REQUIRED = 15
    AUTHENTICATION_FAILED = 16
    AUTHENTICATION_SUCCEEDED = 17
    AUTHORIZATION_FAILED = 18
    SESSION_TERMINATED = 19
    UNKNOWN_SESSION_ID = 20
    DOWNGRADE_ATTACK_DETECTED = 21
    AUTHENTICATION_REQUEST = 22
    AUTHENTICATION_REPLY = 23
    THIRD_PARTY_ID_UNKNOWN = 24
    THIRD_PARTY_MISSING_OPTION = 25
    UNSUPP_THIRD_PARTY_ID_LENGTH = 26


_AUTHENTICATION = "the gateway wants authentication (RFC 7652), which is not supported"
_THIRD_PARTY_ID = "the gateway does not accept the identity of the third party"

_MEANING: dict[int, str] = {
    Result.UNSUPP_VERSION: "the gateway does not speak this version of PCP",
    Result.NOT_AUTHORIZED: "the gateway does not allow this mapping, or another program holds it",
    Result.MALFORMED_REQUEST: "the gateway calls the request malformed",
    Result.UNSUPP_OPCODE: "the gateway does not offer this kind of request",
    Result.UNSUPP_OPTION: "the gateway does not offer an option of the request",
    Result.MALFORMED_OPTION: "the gateway calls an option of the request malformed",
    Result.NETWORK_FAILURE: "the gateway has no connection to the Internet now",
    Result.NO_RESOURCES: "the gateway has no room for another mapping now",
    Result.UNSUPP_PROTOCOL: "the gateway does not map this protocol",
    Result.USER_EX_QUOTA: "this host has as many mappings as the gateway gives to one",
    Result.CANNOT_PROVIDE_EXTERNAL: "the gateway cannot give the external port that was asked for",
    Result.ADDRESS_MISMATCH: "there is another router between this host and the gateway",
    Result.EXCESSIVE_REMOTE_PEERS: "the gateway cannot filter for so many remote peers",
    **dict.fromkeys(range(Result.INITIATION, Result.THIRD_PARTY_ID_UNKNOWN), _AUTHENTICATION),
    **dict.fromkeys(range(Result.THIRD_PARTY_ID_UNKNOWN, Result.UNSUPP_THIRD_PARTY_ID_LENGTH + 1), _THIRD_PARTY_ID),
}


_PASSING = {  # section 7.4: the errors that are recommended to hold for 30 s, not 30 min
    Result.NETWORK_FAILURE,
    Result.NO_RESOURCES,
    Result.USER_EX_QUOTA,
    Result.CANNOT_PROVIDE_EXTERNAL,
}


def refusal(code: int, lifetime: int, *, deleting: bool = False) -> RequestRefused:
    """Return the error for a result code; `lifetime` is how long the gateway says that it holds.

    A lifetime of 0 tells nothing (miniupnpd sends it with long errors), and one beyond a day is taken for a day
    (section 8.3).
    """
    name = Result(code).name if code in set(Result) else f"RESULT_{code}"
    return RequestRefused(
        f"{_meaning(code, deleting=deleting)} ({name})",
        code=code,
        name=name,
        retry_after=float(min(lifetime, limits.SCHEDULED_LIFETIME)) or None,
        lasting=code not in _PASSING,
        general=code == Result.NO_RESOURCES,
    )


def _meaning(code: int, *, deleting: bool) -> str:
    if code == Result.NO_RESOURCES and deleting:  # miniupnpd answers so when it knows no such mapping
        return "the gateway did not delete a mapping: it has none such, or cannot now"
    return _MEANING.get(code, "the gateway refused, it does not say why")
