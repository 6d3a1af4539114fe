"""The error codes of a device, each in the words of its service. No I/O.

The number decides; the device's own text is only shown. The same numbers mean other things in another service.
"""

from portmapper.errors import RequestRefused
from portmapper.text import safe_text

FIREWALL = "WANIPv6FirewallControl"

# UDA 1.1 clause 3.2.2 and UDA 1.0 for 607 to 612: the name, and what it means to the user.
_COMMON = {
    401: ("InvalidAction", "the device does not know this request"),
    402: ("InvalidArgs", "the device does not like an argument of the request"),
    403: ("OutOfSync", "the device lost count of its requests"),
    404: ("InvalidVar", "the device does not know a variable"),
    501: ("ActionFailed", "the device failed to do it"),
    600: ("ArgumentValueInvalid", "the device does not like a value"),
    601: ("ArgumentValueOutOfRange", "the device does not take a value of that size or kind"),
    602: ("OptionalActionNotImplemented", "the device does not have this optional request"),
    603: ("OutOfMemory", "the device has no memory left"),
    604: ("HumanInterventionRequired", "somebody has to do something at the device"),
    605: ("StringArgumentTooLong", "the device takes only a shorter text"),
    606: ("ActionNotAuthorized", "the device does not allow this"),
    607: ("SignatureFailure", "the device wants a signature"),
    608: ("SignatureMissing", "the device wants a signature"),
    609: ("NotEncrypted", "the device wants encryption"),
    610: ("InvalidSequence", "the device wants another sequence number"),
    611: ("InvalidControlURL", "the device wants another control URL"),
    612: ("NoSuchSession", "the device wants a session"),
}

# WANIPConnection:2 section 2.5.23.
_CONNECTION = {
    703: ("InactiveConnectionStateRequired", "the connection must not be active"),
    704: ("ConnectionSetupFailed", "the connection cannot be set up"),
    705: ("ConnectionSetupInProgress", "the connection is just being set up"),
    706: ("ConnectionNotConfigured", "the connection is not configured"),
    707: ("DisconnectInProgress", "the connection is just being closed"),
    708: ("InvalidLayer2Address", "the address of the link is wrong"),
    709: ("InternetAccessDisabled", "access to the Internet is switched off"),
    710: ("InvalidConnectionType", "the connection is of another type"),
    711: ("ConnectionAlreadyTerminated", "the connection is closed already"),
    713: ("SpecifiedArrayIndexInvalid", "there is no entry of that number"),
    714: ("NoSuchEntryInArray", "there is no such mapping"),
    715: ("WildCardNotPermittedInSrcIP", "the device wants a source address"),
    716: ("WildCardNotPermittedInExtPort", "the device wants a particular external port"),
    718: ("ConflictInMappingEntry", "another host has this external port, or the device refuses"),
    724: ("SamePortValuesRequired", "the external port has to be the same as the internal one"),
    725: ("OnlyPermanentLeasesSupported", "the device knows only mappings without end"),
    726: ("RemoteHostOnlySupportsWildcard", "the device cannot restrict a mapping to one remote host"),
    727: ("ExternalPortOnlySupportsWildcard", "the device maps all ports or none"),
    728: ("NoPortMapsAvailable", "the device has no room for another mapping now"),
    729: ("ConflictWithOtherMechanisms", "something else on the device uses this external port"),
    730: ("PortMappingNotFound", "there is no mapping in that range"),
    731: ("ReadOnly", "the device does not let mappings be changed"),
    732: ("WildCardNotPermittedInIntPort", "the device wants a particular internal port"),
    733: ("InconsistentParameters", "the device finds that the values do not fit together"),
}

# WANIPv6FirewallControl:1 section 2.6.
_FIREWALL = {
    701: ("PinholeSpaceExhausted", "the firewall has no room for another pinhole now"),
    702: ("FirewallDisabled", "the firewall is switched off"),
    703: ("InboundPinholeNotAllowed", "the device does not allow pinholes for connections from outside"),
    704: ("NoSuchEntry", "there is no such pinhole"),
    705: ("ProtocolNotSupported", "the device makes no pinhole for this protocol"),
    706: ("InternalPortWildcardingNotAllowed", "the device wants a particular internal port"),
    707: ("ProtocolWildcardingNotAllowed", "the device wants a particular protocol"),
    708: ("WildCardNotPermittedInSrcIP", "the device wants a particular remote address"),
    709: ("NoTrafficReceived", "no packet has come through the pinhole yet"),
}

# Not before somebody has changed something at the device.
_LASTING = {401, 602, 604, 606, 607, 608, 609, 709, 710, 727, 731}
_LASTING_FIREWALL = {401, 602, 604, 606, 703, 705}


class Fault(RequestRefused):
    """The device's own error (UDA 1.1 clause 3.2.2)."""


def fault_for(service_type: str, code: int, description: str = "") -> Fault:
    """Return the error for an error code of a service."""
    firewall = f":{FIREWALL}:" in service_type
    own = _FIREWALL if firewall else _CONNECTION
    name, meaning = _COMMON.get(code) or own.get(code) or (safe_text(description) or "Error", "the device refused")
    lasting = code in (_LASTING_FIREWALL if firewall else _LASTING)
    return Fault(f"{meaning} ({code} {name})", code=code, name=name, lasting=lasting)


def name_of(code: int) -> str:
    """Return the name of an error code of a connection service."""
    return (_COMMON.get(code) or _CONNECTION.get(code) or ("Error", ""))[0]
