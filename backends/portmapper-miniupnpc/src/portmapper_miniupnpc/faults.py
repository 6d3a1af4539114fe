"""The C library's errors, which are plain exceptions with a text, as those of portmapper."""

from portmapper import GatewayUnreachable, PortMapperError, ProtocolError, RequestRefused
from portmapper.text import safe_text

# What the library says for the error codes of a device (strupnperror in its upnperrors.c, 2.2.8 to 2.3.3).
CODES = {
    "Invalid Action": 401,
    "Invalid Args": 402,
    "Action Failed": 501,
    "Argument Value Invalid": 600,
    "Argument Value Out of Range": 601,
    "Optional Action Not Implemented": 602,
    "Out of Memory": 603,
    "Human Intervention Required": 604,
    "String Argument Too Long": 605,
    "Action not authorized": 606,
    "SpecifiedArrayIndexInvalid": 713,
    "NoSuchEntryInArray": 714,
    "WildCardNotPermittedInSrcIP": 715,
    "WildCardNotPermittedInExtPort": 716,
    "ConflictInMappingEntry": 718,
    "SamePortValuesRequired": 724,
    "OnlyPermanentLeasesSupported": 725,
    "RemoteHostOnlySupportsWildcard": 726,
    "ExternalPortOnlySupportsWildcard": 727,
    "NoPortMapsAvailable": 728,
    "ConflictWithOtherMechanisms": 729,
    "PortMappingNotFound": 730,
    "ReadOnly": 731,
    "WildCardNotPermittedInIntPort": 732,
    "InconsistentParameters": 733,
    "UnknownError": 0,  # every code that the library does not know: it does not tell the number
}

_MEANINGS = {
    0: "the device refused for a reason that the C library does not tell",
    606: "the device does not allow this mapping",
    718: "another host has this external port, or the device refuses",
    725: "the device knows only mappings without end",
    728: "the device has no room for another mapping now",
    729: "something else on the device uses this external port",
}

_NO_ANSWER = "Miniupnpc HTTP error"  # not connected, 5 s of silence, or an empty answer


def translated(error: Exception) -> PortMapperError:
    """Return what an exception of the C library means."""
    text = str(error)
    if text in CODES:
        return refusal(text)
    if text == _NO_ANSWER:
        return GatewayUnreachable("the device refused the connection or did not answer")
    if isinstance(error, UnicodeDecodeError):
        return ProtocolError("the answer of the device is not text")
    return ProtocolError(f"the C library can make nothing of the device: {safe_text(text or repr(error))}")


def refusal(text: str) -> RequestRefused:
    """Return the device's own error, with the code and the name that the standard gives it."""
    code = CODES[text]
    name = text.title().replace(" ", "") if " " in text else text
    meaning = _MEANINGS.get(code, "the device refused")
    return RequestRefused(f"{meaning} ({code} {name})" if code else meaning, code=code, name=name)
