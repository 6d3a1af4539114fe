"""How the UPnP device of a simulated gateway behaves: well, unless a switch says otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

_UDN = "uuid:7f1f3c4e-0000-4000-8000-706f72746d61"


@dataclass(frozen=True, slots=True, kw_only=True)
class WanConnection:
    """One WAN connection service of the device. All of them share one table of mappings."""

    service_type: str = ""
    """Empty: WANIPConnection of the device's version."""
    status: str = "Connected"
    connection_type: str = "IP_Routed"
    external_address: str | None = None
    """None: as `IgdSwitches.external_address`."""
    nat_enabled: bool = True
    """(18) False: the device calls itself a gateway but does no NAT."""
    uptime: str | None = None
    """(36) What GetStatusInfo says instead of the seconds since the restart."""
    control_url: str | None = None
    """None: as `IgdSwitches.control_url`."""
    beside: bool = False
    """In the WANConnectionDevice of the connection before it, not in a WANDevice of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IgdSwitches:
    """What the UPnP device of a simulated gateway can do, and how it goes wrong.

    Numbers in brackets are the router quirks that were collected from other programs; UP- numbers are rows of the
    conformance checklist. A field `..._code` is the error code that something is refused with, None: it is not refused.
    """

    version: int = 2
    permanent_only: bool = False
    """(54) Leases are refused with 725; the same as `lease_code`."""

    # --- SSDP ---------------------------------------------------------------------------------------------------------
    boot_id: int | None = None
    """BOOTID.UPNP.ORG, one more after each `SimulatedGateway.reboot`; None: the device sends none."""
    config_id: int | None = None
    server: str = "portmapper UPnP/1.1 SimulatedGateway/1.0"
    """(4) The header SERVER in SSDP and HTTP, may be empty."""
    udn: str = _UDN
    """(12) The device's name in USN and UDN, need not be a UUID."""
    location: str = "http://{host}:{port}{path}"
    """(6, 10, 15, 16) LOCATION, where {host}, {port} and {path} are the true ones."""
    answers_unicast: bool = True
    """(1) False: no search without MX is answered."""
    answers_multicast: bool = True
    """(2) False: no search with MX is answered."""
    search_targets: frozenset[str] | None = None
    """Only searches for these targets are answered; None: all that fit."""
    all_targets: tuple[str, ...] | None = None
    """(3, 20) What a search for ssdp:all is answered with; None: all that the device has."""
    search_headers: tuple[str, ...] | None = None
    """(11) Only a search with just these headers, spelled so and in this order, is answered."""
    asker_port: int | None = None
    """(22) Only searches from this UDP port are answered."""
    other_source_port: bool = False
    """(5) Answers come from another port than the one that was asked."""
    search_gap: float = 0
    """(21) Searches that come less than so many seconds after the last one that was heard are lost."""
    search_delay: float = 0
    """The answer to a search comes after so many seconds."""
    rubbish_first: bytes = b""
    """A datagram before each answer to a search."""
    lower_case_headers: bool = False
    """(11) The header names of SSDP answers are in lower case."""
    no_final_crlf: bool = False
    """(13) SSDP answers end with the last header line, without the empty one."""
    cache_control_twice: bool = False
    """(14) SSDP answers have the header CACHE-CONTROL twice, with different values."""

    # --- Description --------------------------------------------------------------------------------------------------
    model_name: str = "Simulated gateway"
    manufacturer: str = "portmapper"
    friendly_name: str = "Simulated gateway"
    device_domain: str = "schemas-upnp-org"
    """(24) The domain of the device types in the description: TR-064 boxes say dslforum-org."""
    connections: tuple[WanConnection, ...] = (WanConnection(),)
    """(23, 25 to 29) The WAN connections in the order of the description; empty: there is none."""
    url_base: str | None = None
    """(30) URLBase, with {host} and {port}; None: the description has none."""
    control_url: str = "/ctl/IPConn{n}"
    """(30 to 32) May be absolute, with {host} and {port}, or only a query; {n} is empty, 2, 3, ... in turn."""
    namespace: str = "urn:schemas-upnp-org:device-1-0"
    """(35) The namespace of the description; empty: none."""
    description_prefix: str = ""
    """The prefix of that namespace; empty: it is the default."""
    extra_elements: bool = False
    """UP-37: unknown elements, attributes, comments and processing instructions in the description."""
    declared_charset: str = ""
    """UP-42: the encoding that the XML declaration of the description names; empty: none."""
    charset: str = "utf-8"
    """The encoding that the description really has."""
    before_xml: bytes = b""
    """UP-42: comes before the description and before SOAP answers: a BOM or an empty line."""
    after_xml: bytes = b""
    """(34) Comes after the description and after SOAP answers: NUL bytes."""

    # --- HTTP ---------------------------------------------------------------------------------------------------------
    http_version: str = "HTTP/1.1"
    """(47, 48) What answers begin with: HTTP/1.0, or even HTTP1.1."""
    framing: Literal["length", "chunked", "close"] = "length"
    """(47) How the end of the body is told; "close": only by the end of the connection."""
    chunk_extension: str = ""
    """(50) Follows the size of each chunk: ";a=b"."""
    line_end: str = "\r\n"
    """(50) Ends the lines of the head."""
    content_type: str = 'text/xml; charset="utf-8"'
    """(47, 49)."""
    extra_headers: tuple[str, ...] = ()
    """Further header lines of each answer."""
    headers_twice: bool = False
    """(48) Each header line comes twice."""
    after_body: bytes = b""
    """(48) Comes after as many bytes as Content-Length says."""
    interim: bool = False
    """UP-61: a "100 Continue" comes before each answer."""
    http_delay: float = 0
    """Each request is carried out at once and answered after so many seconds."""
    soap_delay: float = 0
    """The same for SOAP requests alone."""
    soap_gap: float = 0
    """(51) A SOAP request less than so many seconds after the last answer is not carried out: the connection ends."""
    one_at_a_time: bool = False
    """(21) A request while another is in progress is not carried out: the connection ends."""
    action_header: str | None = None
    """(38) Only this spelling of the header SOAPACTION counts."""
    wants_http_1_1: bool = False
    """(52) Another version is refused with status 505."""
    refuses_chunked: bool = False
    """(42) A chunked request is refused with status 411."""
    refuses_default_namespace: bool = False
    """(40) A request that declares a default namespace is refused with status 500."""
    wants_mpost: bool = False
    """UP-53: a POST is refused with status 405, an M-POST is carried out."""
    loses_answers_to: frozenset[str] = frozenset()
    """Actions that are carried out, and then the connection ends without an answer."""

    # --- SOAP ---------------------------------------------------------------------------------------------------------
    soap_prefix: str = "s"
    """(43) The prefix of the envelope: SOAP-ENV."""
    response_namespace: Literal["prefix", "default", "none"] = "prefix"
    """(33) How the response element says its namespace."""
    response_type: str | None = None
    """(34) The service type that responses name; None: that of the request."""
    lower_case_tags: bool = False
    """(46) All tags of answers, without their prefixes, are in lower case."""
    bare_value: bool = False
    """(46) A single OUT argument is directly the text of the response element."""
    capital_faults: bool = False
    """(44) faultCode and faultString."""
    fault_descriptions: bool = True
    """(45) False: faults have no errorDescription."""
    fault_status: int = 500
    """UP-57: 200 has been seen."""
    decodes_quotes: bool = True
    """(41) False: &quot; and &apos; are taken as text."""
    refuses: Mapping[str, int] = field(default_factory=dict[str, int])
    """(37, 63, 70) The error codes of actions that are refused, whatever they ask: 401 or 602 for one not there."""

    # --- Mappings -----------------------------------------------------------------------------------------------------
    lease_code: int | None = None
    """(54, 55, 57, 58) Refuses every lease but 0: 725, 402, -911, 501."""
    permanent_code: int | None = None
    """(56) Refuses lease 0: 402."""
    max_lease: int = 604800
    """Longer leases become so long; a device of version 2 also takes 0 for it, if it knows leases (UP-93)."""
    conflict_code: int = 718
    """(58, 59) Refuses a port that another has: 729, 501."""
    foreign_code: int | None = 718
    """(68) Refuses a mapping for another host than the one that asks; 606 is as common."""
    low_port_code: int | None = None
    """(61) Refuses external ports below 1024."""
    wildcard_code: int = 716
    """(62) Refuses external port 0 in AddPortMapping."""
    remote_host_code: int | None = None
    """(65) Refuses a remote host: 726."""
    max_mappings: int | None = None
    """More are refused with 728."""
    max_description: int | None = None
    """A longer description is refused with 605."""
    same_ports_only: bool = False
    """UP-76: refuses with 724 an external port that is not the internal one."""
    upper_case_only: bool = False
    """(64) Refuses "tcp" with 402."""
    ignores_remote_host: bool = False
    """A mapping for one remote host is made for all of them."""
    overwrites_others: bool = False
    """(60) Another's mapping of the same port is replaced without a word."""
    keeps_first_lease: bool = False
    """(72) The lease is not lengthened by the same request again."""
    again_code: int | None = None
    """(72) Refuses the same request again: 718, as if another had the port."""
    adds_nothing: bool = False
    """(71) AddPortMapping succeeds and nothing is mapped."""
    pinhole_swallows: bool = False
    """(72b) The same, but only while there is a pinhole of the same internal port and protocol."""
    shown_client: str | None = None
    """(72b) Entries are shown with this internal client."""
    shows_external_port: bool = False
    """(72c) Entries are shown with the external port as the internal one."""
    shows_disabled: bool = False
    """UP-112: entries are shown as not enabled."""
    external_address: str | None = None
    """(66) What GetExternalIPAddress says: "", "0.0.0.0", "127.0.0.1"; None: the truth."""

    # --- Lists of mappings --------------------------------------------------------------------------------------------
    refuses_start_0: bool = False
    """(69) GetListOfPortMappings refuses NewStartPort 0 with 402."""
    list_end_code: int = 713
    """UP-90: the end of GetGenericPortMappingEntry: 714, 402, 501."""
    endless_list: bool = False
    """UP-90: GetGenericPortMappingEntry repeats the last entry for ever."""

    # --- WANIPv6FirewallControl ---------------------------------------------------------------------------------------
    firewall: bool | None = None
    """Whether the device has the service; None: by IPv6 only."""
    firewall_enabled: bool = True
    inbound_allowed: bool = True
    offers_check_pinhole: bool = True
    """(70) False: CheckPinholeWorking is refused with 602."""
    max_pinholes: int | None = None
    """More are refused with 701."""
    foreign_pinhole_code: int | None = 606
    """(68) Refuses a pinhole for another host than the one that asks."""
