"""Every bound and timing in one place, each with its RFC section or the peer it defends against.

Times are seconds, sizes are bytes, unless the name says otherwise.
"""

# --- Ports and groups -------------------------------------------------------------------------------------------------
LAST_PORT = 65535
SERVER_PORT = 5351  # NAT-PMP (RFC 6886 section 3) and PCP (RFC 6887 section 19.1) share it
ANNOUNCEMENT_PORT = 5350  # NAT-PMP (RFC 6886 section 3.2.1) and PCP (RFC 6887 section 14.1.3) share it too
ALL_HOSTS = "224.0.0.1"
ALL_NODES = "ff02::1"
SSDP_PORT = 1900  # UPnP Device Architecture 2.0, clause 1
SSDP_GROUP = "239.255.255.250"
SSDP_GROUP_6 = "ff02::c"  # UDA 2.0 annex A: link-local scope, where the gateway is
SSDP_TTL = 2  # UDA 2.0 clause 1: default 2

# --- Datagrams --------------------------------------------------------------------------------------------------------
CONN_GATEWAYS = 64  # gateways that one Conn listens to; beyond, the one asked longest ago is forgotten
PCP_DATAGRAM = 1100  # RFC 6887 section 7: longer ones are dropped
SSDP_DATAGRAM = 2048  # a neighbour's answer need not be longer; the rest is cut and refused
RECEIVE_BUFFER = 2049  # one more than the largest we accept, so that a longer datagram shows

# --- Retransmission ---------------------------------------------------------------------------------------------------
# RFC 6886 3.1 starts at 250 ms, RFC 6887 8.1.1 at 3 s and goes on for ever. While a person is waiting we start like
# NAT-PMP and keep that pace for 4 s: where half of all packets are lost each way, one of four requests is answered, and
# of 24 one in 999 cases none. In the background the RFCs rule.
FAST_WAITS = (0.25,) * 16 + (0.5,) * 8
PROBE_WAITS = (0.1,) * 22  # the same while nothing is known to be there and DISCOVERY has to do: one in 560 cases
NATPMP_WAITS = tuple(0.25 * 2**n for n in range(9))  # RFC 6886 3.1: nine requests, 127.75 s in all
SHORT_LEASE = 120  # such a lease is renewed by NAT-PMP at the pace of somebody who waits
ADDRESS_TRUST = 2.0  # NAT-PMP tells the external address apart from the mapping: not asked for each of several at once
PCP_FIRST, PCP_LONGEST = 3.0, 1024.0  # RFC 6887 8.1.1: IRT and MRT
PCP_COUNT, PCP_DURATION = 0, 0.0  # RFC 6887 8.1.1: MRC and MRD, 0 is without end
PCP_SPREAD = 0.1  # RFC 6887 8.1.1: RAND is uniform in -0.1..0.1
RENEWAL_WAITS = (3.75,)  # RFC 6887 11.2.1: a renewal is one request; over before the next, which comes after 4 s
RELEASE_WAITS = (0.25, 0.5, 0.75)  # RFC 6886 3.1: a delete may stop after one or two retries; within RELEASE
SEARCH_OFFSETS = (0.0, 0.25, 0.75)  # UDA 1.1 1.3.2: an M-SEARCH is sent more than once, at most three times
SEARCH_MX = 1  # UDA 1.1 1.3.3: devices answer within 0..MX seconds, and MX is at least 1

# --- Discovery --------------------------------------------------------------------------------------------------------
DISCOVERY = 2.2  # all backends together: with start-up "nothing found" is said within 3 s
PATIENT_DISCOVERY = sum(NATPMP_WAITS)  # the same in the background, where nobody waits
OBTAIN = 30.0  # one mapping, by whatever backends: a device that answers each request just in time must end somewhere
HEAD_START = 0.4  # a better protocol may lose one datagram (resent after 0.25 s) and still be first
BACKEND_TRUST = 600.0  # RFC 6886 1.1: do not remember for long that a gateway speaks only the older protocol

# --- HTTP and XML: a hostile device could stream for ever, drip, or send us elsewhere ---------------------------------
# One absolute deadline, connect to last byte (miniupnpc hung for 45 s on a drip feed). A device that stops answering
# anywhere in a mapping costs this, FOUND_AGAIN and UNDO: 5 s in all.
HTTP_EXCHANGE = 3.5
# The system sends a lost SYN again after a second. Until there is a connection, others are tried beside the first one,
# each for a quarter of a second: four sockets at most, and nothing is sent on any but the one that is taken.
CONNECT_AGAIN = (0.1,) * 10 + (0.25,) * 10
CONNECT_TRY = 0.25
# A question without an answer is asked again on other connections: once it is known how fast a device is, after twice
# that time, for it may do one thing after the other. A request that changes something is looked for before it is sent
# again: a device that writes to its flash memory may take seconds. A renewal is asked again as a question is, once it
# is known how fast the device was with the mapping.
ASK_AGAIN = 0.5
FETCH_AGAIN = 0.7  # the same for a description, which is the first that is asked and the longest to come
ASK_TIMES = 6
ASK_UNKNOWN = 0.5  # how fast a device is taken to be before it has answered once
ASK_LATE = 3  # late answers in turn after which a device is taken to have become slow: one may be late by a lost packet
ADD_AGAIN = (1.0, 1.0)
FOUND_AGAIN = 0.5  # to see whether a request whose answer was lost was carried out
HTTP_OVERHEAD = (
    64 * 1024
)  # head, interim answers and trailers of one exchange (an endless "100 Continue" has been tried)
# Real ones are below 30 KiB; a 600 MB one filled the memory of upnpc, and 256 KiB of character references took 5 MiB.
DESCRIPTION_BODY = 128 * 1024
SOAP_BODY = 64 * 1024
URL_LENGTH = 1024
XML_DEPTH = 64  # deep nesting costs gigabytes in a tree (CVE-2015-6031, CVE-2021-28302 for the family)
XML_ELEMENTS = 4096
XML_ATTRIBUTES, XML_VALUE = 4096, 1024  # how many, and the characters of one: 24,000 empty ones took 9 MiB
SERVICES = 8  # port mapping services looked at in one description: each may cost us two questions
DESCRIBED = 1.8  # more than DISCOVERY, once anything has answered the search: its description comes by TCP
DESCRIPTION_FETCHES = 4  # LOCATIONs tried in one search: many forged ones must not make us hammer a victim
ANSWERS_PER_HOST = 4  # of a host that is not the gateway
OTHER_DEVICES = 1.25  # a device that is not the default gateway has to wait so long: MX, and a quarter for the way
SEARCH_ANSWERS = 32  # answers looked at in one search (CVE-2024-52917: one allocation per answer until out of memory)
SOAP_GAP = 0.2  # some devices drop a request that follows the one before at once
STATUS = 2.0  # for a device with several connections to say how they are
CHOICE = 60.0  # for how long the connection that was chosen is taken again: it may go down
READ_BACK_SLACK = 5  # a lease that was just granted may have lost so much of its time when it is read back
LISTING = 10.0  # one list of all mappings
CHECKED_LEASES = 8  # looked up when a device says that it restarted: one that is missing will do
DEVICES_HEARD = 32  # devices of one gateway whose restarts are told apart: a forger could name any number
MAKES = 16  # makes of device whose habits are remembered
REMEMBERED = 256  # mappings and pinholes made on a device: more are kept, but no more told from those of others
UPNP_PORT_TRIES = 8  # external ports tried on 718 ConflictInMappingEntry
SSDP_ID = 2**31 - 1  # UDA 2.0 clause 1.2.2: BOOTID, NEXTBOOTID and CONFIGID have 31 bits
LISTED_MAPPINGS = 256  # entries read of one answer: SOAP_BODY has no room for more in the standard's form
LISTED_UNREADABLE = 8  # of them that may make no sense: more, and nothing that the device says is a list
LISTED_ALL = 1024  # entries read of one device by their number: an endless list has to end

# --- Lifetimes --------------------------------------------------------------------------------------------------------
DEFAULT_LIFETIME = 7200  # RFC 6886 section 3.3 recommends it
MAX_LIFETIME = 2**32 - 1  # 32 bits on the wire of all three protocols
SCHEDULED_LIFETIME = 86400  # RFC 6887 section 15: behave as with 24 h when a gateway grants more
UPNP_LIFETIME = 604800  # WANIPConnection:2 section 2.3.16: 1..604800
PINHOLE_LIFETIME = 86400  # WANIPv6FirewallControl:1 section 2.4.8: 1..86400
UPNP_SHORT_SPAN = 0.75  # a lease of SHORT_LEASE or less is renewed as one that is so much shorter: at 4 of 10 s, not 5
UPNP_ADDRESS_SHARE = 0.05  # of a lease that is renewed, the time to ask for the address too: the old one will do
PERMANENT_SPAN = 120.0  # a lease without end is renewed as one of the lifetime asked for, but not more often than this
MIN_RENEWAL_GAP = 4.0  # RFC 6887 section 11.2.1: renewals are not less than 4 s apart
REMOTE_FILTERS = 32  # 24 bytes each in a message of at most 1100 (RFC 6887 sections 7 and 13.3)
PROBE_LIFETIME = 120  # the mapping that tells PCP's external address (RFC 6887 section 11.6); removed at once

# --- Renewal engine ---------------------------------------------------------------------------------------------------
WAKE = 30.0  # look at the clock at least this often: the loop's own clock stops while the machine sleeps
RETRY_FIRST, RETRY_LAST = 30.0, 900.0  # back-off after a lost mapping, doubling
RETRY_JITTER = 0.25
RECOVERY_WAIT = 1.0  # RFC 6886 section 3.7, RFC 6887 section 14.1.3 have 5: see ARCHITECTURE.md
RECOVERY_GAP = 10.0  # at most one round of recovery in this time, whatever a forger sends
RECOVERY_PACE = 0.02  # between two mappings of a round: miniupnpd needs 4 ms for a new TCP mapping
HEARD_AT_ONCE, UNHEARD_GAP = 64, 0.05  # a flood that means nothing to us may cost 1280 looks a second: a few per cent
CHECK_GAP = 1.0  # at most one question in this time because of announcements: those can be forged
CHECK = 60.0  # between two looks whether the gateway still has what it gave: one small exchange
CHECK_AGAIN = 5.0  # the same while it is silent: it may be starting, and nothing tells when it is back
PACE = 0.01  # between two requests of one mapper in the background: 100 a second for any number of mappings
RENEWAL = 25.0  # one attempt to renew: by UPnP up to seven requests of HTTP_EXCHANGE; the schedule has the next
IN_FLIGHT = 8  # requests at once to one gateway: miniupnpd drops bursts beyond its socket buffer
# Whoever is told to leave a dead router is gone within 3 s: GRACE to see how a mapping that was just asked for ends,
# GRACE to undo it, RELEASE for all that is held. With nothing under way that is below 2 s.
RELEASE = 1.6
GRACE = 0.6
UNDO = 1.0  # to undo what was asked for without a clear answer, when nobody waits to leave
HURRY = 0.25  # when giving back takes longer, devices that were asked one thing at a time are asked
HURRY_WIDTH = 4  # so many: 20 mappings of a device that needs 0.1 s for each request are gone in time
# Before each try to remove a mapping: three for one without end, which nothing else will remove, and two where this
# host was the reason, for it may have lacked a socket for a moment.
RELEASE_PAUSES = (0.0, 0.3, 0.6)
RELEASES = 128  # mappings given back at once
REFUSALS = 256  # remembered refusals; the oldest go first
LAST_WORDS = 0.5  # for callbacks to be told of the end
# A program that ends waits so long for calls that were begun with a callback: "nothing answers" is said within 3 s.
LAST_CALLS = 3.0
LAST_CLEANING = 4.0  # and so long for mappings to be released: 3 s of a dead router, and a second for a busy machine
EVENT_QUEUE = 64  # events kept for a reader that does not read; the oldest go first

PAIR_TRIES = 8  # external ports tried for TCP and UDP together: with half of all ports taken, one in 256 cases fails
PAIR_PORTS = (1024, 49151)  # of which those are: below are the system's, above those that a NAT hands out by itself

# --- The command ------------------------------------------------------------------------------------------------------
REDRAW = 1.0  # between two pictures of the table, which counts seconds
REDRAW_GAP = 0.5  # the same when something happens: a terminal far away gets a page for each
UNDRAWN = 500  # lines or events kept for a terminal or program that takes none just now; the oldest go first
READER_LOOK = 1.0  # between two looks whether the program that reads is gone: its ports lead nowhere then
COMMAND_PORTS = 128  # opened by one command: RELEASES, so that all are given back at once
HOOK = 30.0  # one run of a hook: it may talk to another host, but one that hangs must not hide all later changes
HOOK_QUIET = 0.2  # a restart of the router is a burst of changes: what they come to is told
HOOKS_AT_ONCE = 8  # processes; of one mapping one after the other
HOOK_FILE = 1.0  # for --write to be up to date before a hook looks: a network folder that hangs must not silence hooks
HOOK_LEFT = 1.0  # for a run that is under way when the mapping is closed
HOOK_CLOSED = 3.0  # for the last run too, counted from the same moment: so much may hooks delay the end of the command
HOOK_KILL = 0.25  # between asking a hook to end, and ending it
HOOK_PIPES = 0.1  # for the rest of what it said; a program that it left behind may keep the pipe open for ever
HOOK_LINES = 100  # of its output that are passed on
HOOK_LINE = 500  # characters

# --- Watching a gateway -----------------------------------------------------------------------------------------------
LOOK = 30.0  # between two looks: a search, the external address and the list
LOOK_GAP = 5.0  # the same whatever is announced meanwhile: that can be forged
WATCHED_LAST = 8  # what happened last, shown below the mappings

# --- Watching the network ---------------------------------------------------------------------------------------------
WATCH_TICK = 1.0  # how soon a sleep of the machine is noticed; nothing tells of it
ASLEEP = 10.0  # a shorter pause is a busy machine
POLL = 5.0  # between two looks at the routes where the system does not tell of changes
QUIET = 0.1  # one change comes as a burst of messages
SETTLED_AT_LAST = 1.0  # a link that flaps without end must not put off the look for ever
RINGS = 4096  # messages dropped in one go: another program may change routes all the time

# --- Host -------------------------------------------------------------------------------------------------------------
PROGRAM = 3.0  # for a program of the system to print its routes
PROGRAM_PIPE = 0.5  # for its pipe to be closed, once it was ended: a program that it left behind may keep it open
TUNNEL_LIFETIME = 60  # asked for by default through a tunnel: what VPN providers grant, and renewed every half minute
ROUTE_BYTES = 1024 * 1024  # full BGP tables exist on hosts; that of IPv4 begins with the default route
STATE_KEY = 32  # bytes of the secret from which PCP nonces are derived
JOURNAL_BYTES = 1024 * 1024  # of one journal; a mapping takes about 450
JOURNAL_NOTES = 1024  # mappings in one journal; what goes beyond is mapped, but not noted
JOURNALS = 256  # looked at in one folder, the newest first; one is kept for each program that runs or left something
JOURNAL_GAP = 5.0  # a renewal changes only when a lease ends: noted at most so often; other changes are noted at once
JOURNAL_POLL = 0.01  # between two looks whether another program has finished with the journals
JOURNAL_TURN = 2.0  # another program needs them for some milliseconds; one that was stopped there must not stop us
JOURNAL_TURN_LEAVING = 0.3  # the same on the way out
OTHERS_GAP = 0.1  # between two looks whether another program has finished with a port
OTHERS_TURN = 5.0  # for another program to give a port back (RELEASE, and GRACE), or to hear which one it got
PROGRAM_NAME = 64  # characters
BACKEND_NAME = 64
DESCRIPTION_TEXT = 64  # characters of a mapping's description sent to a router
SHORT_DESCRIPTION = 11  # the same for a device that found it too long (605 StringArgumentTooLong)
SHOWN_TEXT = 120  # characters of router-supplied text shown to a person

# --- Doctor -----------------------------------------------------------------------------------------------------------
DOCTOR_GATEWAYS = 4  # asked side by side; hosts have one or two, and each costs a search
DOCTOR_DEVICES = 4.0  # for all devices of a link to describe themselves: one exchange, and some quick ones
DOCTOR_CONNECTIONS = 4  # of one device that are asked how they are
DOCTOR_LISTING = 2.0  # the list of mappings; what a slow device has told by then is lost
DOCTOR_TRIAL = 8.0  # one trial mapping, made and looked at; its removal has a bound of its own (RELEASE)
DOCTOR_LOOKUP = 2.0  # to see a trial mapping in the router's list
DOCTOR_FIREWALL = 2.0  # for nft to print its rules
DOCTOR_RULES = 8 * 1024 * 1024  # bytes of them: address lists are long
DOCTOR_LIFETIME = 120  # of a trial mapping: the shortest that miniupnpd grants; it is removed at once
DOCTOR_EVIDENCE = 64  # addresses, mappings or answers that the text shows of one kind; JSON has all
