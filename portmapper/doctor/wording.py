"""What is said about each problem: the headline, then what can be done, the best first. No I/O."""

from dataclasses import replace

from portmapper.doctor.problem import Code, Problem

_TEXTS = {
    Code.NO_NETWORK: """
        This host is not connected to any network{down}.
        - Plug in the cable or join the Wi-Fi, and run this again.
        """,
    Code.VPN: """
        Everything leaves this host through the VPN {interface}, where no router can be asked.
        - If your VPN provider opens ports, name its gateway as the provider says it: --gateway 10.2.0.1, say.
        - Or leave the VPN and run this again: then your own router can be asked.
        """,
    Code.NO_GATEWAY: """
        This host is on a network, but none of its routes leads to a router{why}.
        - Renew this host's network settings (DHCP), or set the default gateway.
        - Or name the router: --gateway ADDRESS.
        """,
    Code.LOCAL_FIREWALL: """
        The firewall of this host{active} lets no question out to the router at {gateway}.
        - Allow what leaves this host for {stopped} of {gateway}, then run this again.
        """,
    Code.WRONG_INTERFACE: """
        This host prefers the router at {gateway}, which opens no ports; the one at {other}{through} does.
        - Name that one: --gateway {other}.
        - Or give up the other connection (pull the cable, leave the Wi-Fi), or give its default route a higher metric:
          answers have to leave by the way that questions come.
        """,
    Code.IPV6_ONLY: """
        This host has IPv6 only: people with nothing but IPv4 cannot reach it.
        - {pinhole}
        - If this network should have IPv4 too, renew this host's network settings (DHCP).
        """,
    Code.GATEWAY_DEAD: """
        Nothing is there at {gateway}, the address of the router in this host's settings.
        - Check that the router is on, and the cable or the Wi-Fi connection to it.
        - Renew this host's network settings (DHCP): the router may have another address by now.
        """,
    Code.SERVICES_OFF: """
        The router at {gateway} is there, but has this switched off: {asked}.
        - Switch on UPnP or NAT-PMP in the router's settings, often under 'NAT forwarding', 'Advanced' or 'Home
          network', and run this again.
        - Or forward {port} to {host} by hand there ('port forwarding', 'virtual server').
        - If this device is not your router (an access point, a mesh node, a modem), name the router: --gateway ADDRESS.
        """,
    Code.ICMP_REFUSED: """
        A firewall forbids questions to the router at {gateway}: {said}.
        - Allow UDP port 5351 and UDP port 1900 from this host in the router's own firewall, or in what stands between
          (a managed switch, a guest network).
        - In a guest network, a hotel or an office ask whoever runs it.
        """,
    Code.NONSENSE: """
        Something at {gateway} answers on the ports of these services, but speaks none of them properly.
        - Restart the router, and look for new firmware.
        - Or forward {port} to {host} by hand there ('port forwarding', 'virtual server').
        """,
    Code.SILENT: """
        The router at {gateway} does not answer to {asked}: switched off, or filtered on the way.
        - Switch on UPnP or NAT-PMP in the router's settings, often under 'NAT forwarding', 'Advanced' or 'Home
          network', and run this again.
        - In a guest network, a hotel or an office such questions are mostly filtered: use a network of your own.
        - Or forward {port} to {host} by hand there ('port forwarding', 'virtual server').
        """,
    Code.BAD_DESCRIPTION: """
        The UPnP device at {device} calls itself a router, but its description is of no use: {why}.
        - Restart the router, and look for new firmware.
        - If that device is not your router, find out what it is: it answers in the router's place.
        """,
    Code.NO_NAT: """
        The device at {gateway} says that it translates no addresses: another box is the router.
        - Name that one: --gateway ADDRESS.
        - Or switch this device to router mode, if it should be the router.
        """,
    Code.NOT_AUTHORIZED: """
        The router at {gateway} answers, but does not allow this host to open {port} ({name}).
        - Allow it in the router's settings: some have that for each device ('allow this device to open ports',
          'independent port sharing'), some only for ports above 1024.
        - In a network of somebody else ask whoever runs it.
        """,
    Code.WAN_DOWN: """
        The router at {gateway} has no connection to the Internet now.
        - Look at the router's page about its Internet connection, restart the modem, or call the provider.
        - If the Internet works, another box is the router: see whether this one is only an access point.
        """,
    Code.CGNAT: """
        Your provider shares one public address among many customers: yours, {address}, is not public.
        - Ask the provider for a public IPv4 address ('no CGNAT', 'dual stack', sometimes at a price); no setting of
          your router helps.
        - Or use IPv6, if both sides have it; or a VPN or a rented server that opens ports.
        """,
    Code.DOUBLE_NAT: """
        Two routers stand between this host and the Internet: the outer side of {gateway} has the private address
        {address}.
        - Best: switch the outer box, often the provider's, to bridge mode ('modem only'), or the inner one to access
          point mode.
        - Or forward {port} on the outer box to {address} too, or make {address} its 'DMZ' or 'exposed host'.
        """,
    Code.NO_ROOM: """
        The router at {gateway} has no room for another port now ({name}).
        - Restart the router, which forgets old ports, or remove some on its page about UPnP.
        - See who has them: portmapper list.
        """,
    Code.CONFLICT: """
        The external port {external} is taken by {owner}{instead}.
        - Ask for another one: portmapper map {internal}:{another}.
        - Or close it where it is used: on that host, or on the router's page about port forwarding.
        """,
    Code.TRIAL_FAILED: """
        The router at {gateway} answers, but did not open {port}: {why}.
        - Restart the router, and look for new firmware.
        - Or forward {port} to {host} by hand there ('port forwarding', 'virtual server').
        """,
    Code.NOBODY_LISTENS: """
        No program of this host listens on {port}.
        - Start the program that is to be reached, and see in its settings that it uses port {number}.
        """,
    Code.LOOPBACK_ONLY: """
        The program on {port} listens on {local} only, where no other host reaches it.
        - Have it listen on 0.0.0.0 (all addresses) in its settings: look for 'bind', 'listen' or 'host'.
        - Before that, see that it asks for a password if it should.
        """,
    Code.OTHER_ADDRESS: """
        The program on {port} listens on {local}, but the router sends to {host}.
        - Have it listen on {host}, or on 0.0.0.0 (all addresses).
        """,
    Code.ANSWERS_ELSEWHERE: """
        What this host sends to the Internet leaves from {outward}{through}, not by the router at {gateway}: answers to
        people who come in by that router get lost.
        - Leave the VPN, or exclude the program from it ('split tunnelling').
        - Or ask the other end for the port, if it opens any: --gateway ADDRESS.
        """,
    Code.LEFT_BEHIND: """
        The trial mapping of {port} could not be removed from {gateway}: {why}.
        - Try again later: portmapper unmap {port}.
        """,
    Code.ADDRESSES_DIFFER: """
        The router names several external addresses: {each}.
        - Find out by a test from outside which one leads here: a router with two Internet connections may name the
          other one.
        """,
    Code.PERMANENT_ONLY: """
        The router at {gateway} opens ports only without end.
        - It works: the port is closed when the program ends. One that is killed leaves it open; portmapper unmap
          --stale closes it then.
        """,
    Code.PUBLIC_ADDRESS: """
        This host has the public address {address} itself: no router has to open a port for it.
        - Allow {port} in this host's firewall, and in that of your provider (of a rented server: 'security group' or
          'firewall' on its web page).
        """,
    Code.OK: """
        All is well: {what}.
        """,
}


def problem(code: Code, **facts: object) -> Problem:
    """Return a problem that keeps people out, in words; `facts` fill the places in its text."""
    headline, *advice = (part.format(**facts) for part in parts(code))
    return Problem(code=code, headline=headline, advice=tuple(advice))


def remark(code: Code, **facts: object) -> Problem:
    """Return a problem that keeps nobody out, in words."""
    return replace(problem(code, **facts), blocking=False)


def parts(code: Code) -> list[str]:
    """Return the headline and each piece of advice, with places for facts."""
    lines = (line.strip() for line in _TEXTS[code].strip().splitlines())
    found: list[str] = [""]
    for line in lines:
        if line.startswith("- "):
            found.append(line[2:])
        else:
            found[-1] = f"{found[-1]} {line}".strip()
    return found
