"""The byte vectors of the conformance table (TV-nn), and bytes that lie near them.

The scene: client 192.168.1.10, gateway 192.168.1.1, external address 203.0.113.7, epoch 86400 = 0x00015180.
"""

from collections.abc import Sequence

from hypothesis import strategies as st


def _http(*lines: str, body: str = "") -> bytes:
    return ("\r\n".join([*lines, "", ""]) + body).encode("ascii")


@st.composite
def bytes_near(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Draw one of `seeds` with some bytes overwritten and its end cut off or continued."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    end = draw(st.integers(0, len(data)))
    return bytes(data[: len(data) - end]) if draw(st.booleans()) else bytes(data) + draw(st.binary(max_size=24))


# --- TV-01 NAT-PMP: the external address; network failure
TV01_REQ = bytes.fromhex("0000")
TV01_RESP = bytes.fromhex("00800000 00015180 cb007107")
TV01_RESP_NETWORK_FAILURE = bytes.fromhex("00800003 00000010 00000000")

# --- TV-02 NAT-PMP: map UDP 4001, asked for 4001 and 7200 s, granted 50000 and 3600 s; then the renewal
TV02_REQ = bytes.fromhex("00010000 0fa10fa1 00001c20")
TV02_RESP = bytes.fromhex("00810000 00015181 0fa1c350 00000e10")
TV02_RENEW = bytes.fromhex("00010000 0fa1c350 00001c20")

# --- TV-03 NAT-PMP: map TCP 8080, any port; out of resources
TV03_REQ = bytes.fromhex("00020000 1f900000 00001c20")
TV03_RESP = bytes.fromhex("00820004 00015182 1f900000 00000000")

# --- TV-04 NAT-PMP: delete TCP 8080
TV04_REQ = bytes.fromhex("00020000 1f900000 00000000")
TV04_RESP = bytes.fromhex("00820000 00015183 1f900000 00000000")

# --- TV-05 NAT-PMP: delete all UDP mappings
TV05_REQ = bytes.fromhex("00010000 00000000 00000000")
TV05_RESP = bytes.fromhex("00810000 00015184 00000000 00000000")

# --- TV-06 PCP ANNOUNCE to a NAT-PMP server: Unsupported Version, opcode 0, 8 bytes; the variant seen in the field
TV06_REQ = bytes.fromhex("02000000 00000000 00000000 00000000 0000ffff c0a8010a")
TV06_RESP = bytes.fromhex("00000001 00015185")
TV06_RESP_FIELD_VARIANT = bytes.fromhex("00800001 00015185")

# --- TV-07 NAT-PMP: unsupported opcode 9, the request echoed
TV07_REQ = bytes.fromhex("00090000 0fa10fa1 00001c20")
TV07_RESP = bytes.fromhex("00890005 0fa10fa1 00001c20")

# --- TV-08 NAT-PMP: announcements to 224.0.0.1:5350, 600 s after 86405 was heard
TV08_REBOOTED = bytes.fromhex("00800000 00000003 cb007109")
TV08_BOUNDARY_OK = bytes.fromhex("00800000 00015390 cb007107")
TV08_BOUNDARY_LOST = bytes.fromhex("00800000 0001538f cb007107")

# --- TV-09 PCP ANNOUNCE, its answer, and the announcement of a restart to 224.0.0.1:5350
TV09_REQ = bytes.fromhex("02000000 00000000 00000000 00000000 0000ffff c0a8010a")
TV09_RESP = bytes.fromhex("02800000 00000000 00015180 00000000 00000000 00000000")
TV09_RESTART = bytes.fromhex("02800000 00000000 00000002 00000000 00000000 00000000")

# --- TV-10 PCP MAP: IPv4, TCP 8080, 3600 s, no preference; assigned 203.0.113.7:40000
TV10_REQ = bytes.fromhex(
    "02010000 00000e10 00000000 00000000 0000ffff c0a8010a "
    "01020304 05060708 090a0b0c 06000000 1f900000 "
    "00000000 00000000 0000ffff 00000000"
)
TV10_RESP = bytes.fromhex(
    "02810000 00000e10 00015180 00000000 00000000 00000000 "
    "01020304 05060708 090a0b0c 06000000 1f909c40 "
    "00000000 00000000 0000ffff cb007107"
)

# --- TV-11 PCP: renewal and delete of TV-10
TV11_RENEW = bytes.fromhex(
    "02010000 00000e10 00000000 00000000 0000ffff c0a8010a "
    "01020304 05060708 090a0b0c 06000000 1f909c40 "
    "00000000 00000000 0000ffff cb007107"
)
TV11_DELETE = bytes.fromhex(
    "02010000 00000000 00000000 00000000 0000ffff c0a8010a "
    "01020304 05060708 090a0b0c 06000000 1f900000 "
    "00000000 00000000 0000ffff 00000000"
)
TV11_DELETE_RESP = bytes.fromhex(
    "02810000 00000000 00015186 00000000 00000000 00000000 "
    "01020304 05060708 090a0b0c 06000000 1f900000 "
    "00000000 00000000 0000ffff 00000000"
)

# --- TV-12 PCP MAP: IPv6 firewall, UDP 51820, client 2001:db8::10
TV12_REQ = bytes.fromhex(
    "02010000 00000e10 20010db8 00000000 00000000 00000010 "
    "11223344 55667788 99aabbcc 11000000 ca6c0000 "
    "00000000 00000000 00000000 00000000"
)
TV12_RESP = bytes.fromhex(
    "02810000 00000e10 00000e10 00000000 00000000 00000000 "
    "11223344 55667788 99aabbcc 11000000 ca6cca6c "
    "20010db8 00000000 00000000 00000010"
)

# --- TV-13 PCP MAP with THIRD_PARTY 192.168.1.20, UDP 5060, 600 s; success, and UNSUPP_OPTION
TV13_REQ = bytes.fromhex(
    "02010000 00000258 00000000 00000000 0000ffff c0a8010a "
    "01020304 05060708 090a0b0c 11000000 13c40000 "
    "00000000 00000000 0000ffff 00000000 "
    "01000010 00000000 00000000 0000ffff c0a80114"
)
TV13_RESP = bytes.fromhex(
    "02810000 00000258 00015190 00000000 00000000 00000000 "
    "01020304 05060708 090a0b0c 11000000 13c4ee48 "
    "00000000 00000000 0000ffff cb007107 "
    "01000010 00000000 00000000 0000ffff c0a80114"
)
TV13_RESP_UNSUPP_OPTION = bytes.fromhex(
    "02810005 00000708 00015190 00000000 00000000 00000000 "
    "01020304 05060708 090a0b0c 11000000 13c40000 "
    "00000000 00000000 0000ffff 00000000 "
    "01000010 00000000 00000000 0000ffff c0a80114"
)

# --- TV-14 PCP MAP with PREFER_FAILURE for 203.0.113.7:8080; CANNOT_PROVIDE_EXTERNAL, 30 s
TV14_REQ = bytes.fromhex(
    "02010000 00000e10 00000000 00000000 0000ffff c0a8010a "
    "01020304 05060708 090a0b0c 06000000 1f901f90 "
    "00000000 00000000 0000ffff cb007107 "
    "02000000"
)
TV14_RESP = bytes.fromhex(
    "0281000b 0000001e 00015190 00000000 00000000 00000000 "
    "01020304 05060708 090a0b0c 06000000 1f901f90 "
    "00000000 00000000 0000ffff cb007107 "
    "02000000"
)

# --- TV-15 PCP MAP with FILTER: clear all, 198.51.100.0/24, 198.51.101.5:443; EXCESSIVE_REMOTE_PEERS
TV15_REQ = bytes.fromhex(
    "02010000 00000e10 00000000 00000000 0000ffff c0a8010a "
    "01020304 05060708 090a0b0c 06000000 20fb0000 "
    "00000000 00000000 0000ffff 00000000 "
    "03000014 00000000 00000000 00000000 0000ffff 00000000 "
    "03000014 00780000 00000000 00000000 0000ffff c6336400 "
    "03000014 008001bb 00000000 00000000 0000ffff c6336505"
)
TV15_RESP = bytes.fromhex(
    "0281000d 00000708 00015191 00000000 00000000 00000000 "
    "01020304 05060708 090a0b0c 06000000 20fb0000 "
    "00000000 00000000 0000ffff 00000000 "
    "03000014 00000000 00000000 00000000 0000ffff 00000000 "
    "03000014 00780000 00000000 00000000 0000ffff c6336400 "
    "03000014 008001bb 00000000 00000000 0000ffff c6336505"
)

# --- TV-16 PCP MAP with DESCRIPTION "SSH box" (7 + 1 padding); stored as "SSH"
TV16_REQ = bytes.fromhex(
    "02010000 00000e10 00000000 00000000 0000ffff c0a8010a "
    "01020304 05060708 090a0b0c 06000000 00160000 "
    "00000000 00000000 0000ffff 00000000 "
    "80000007 53534820 626f7800"
)
TV16_RESP = bytes.fromhex(
    "02810000 00000e10 00015191 00000000 00000000 00000000 "
    "01020304 05060708 090a0b0c 06000000 00167546 "
    "00000000 00000000 0000ffff cb007107 "
    "80000003 53534800"
)

# --- TV-17 PCP MAP with PORT_SET of 100 ports (5 + 3 padding); 32 granted
TV17_REQ = bytes.fromhex(
    "02010000 00000e10 00000000 00000000 0000ffff c0a8010a "
    "01020304 05060708 090a0b0c 11000000 c3500000 "
    "00000000 00000000 0000ffff 00000000 "
    "82000005 0064c350 00000000"
)
TV17_RESP = bytes.fromhex(
    "02810000 00000e10 00015191 00000000 00000000 00000000 "
    "01020304 05060708 090a0b0c 11000000 c35090c0 "
    "00000000 00000000 0000ffff c0000203 "
    "82000005 0020c350 00000000"
)

# --- TV-18 PCP PEER TCP 54321 to 198.51.100.20:443
TV18_REQ = bytes.fromhex(
    "02020000 00000258 00000000 00000000 0000ffff c0a8010a "
    "01020304 05060708 090a0b0c 06000000 d4310000 "
    "00000000 00000000 0000ffff 00000000 "
    "01bb0000 00000000 00000000 0000ffff c6336414"
)
TV18_RESP = bytes.fromhex(
    "02820000 00000258 00015191 00000000 00000000 00000000 "
    "01020304 05060708 090a0b0c 06000000 d431d431 "
    "00000000 00000000 0000ffff cb007107 "
    "01bb0000 00000000 00000000 0000ffff c6336414"
)

# --- TV-19 PCP: ADDRESS_MISMATCH to TV-10; a PCP server's answer to the NAT-PMP request of TV-01
TV19_MISMATCH = bytes.fromhex(
    "0281000c 00000708 00015192 00000000 00000000 00000000 "
    "01020304 05060708 090a0b0c 06000000 1f900000 "
    "00000000 00000000 0000ffff 00000000"
)
TV19_PCP_ONLY = bytes.fromhex("02800001 00000708 00015193 00000000 00000000 00000000")

# --- TV-20 SSDP: search, answer and byebye
TV20_SEARCH = _http(
    "M-SEARCH * HTTP/1.1",
    "HOST: 239.255.255.250:1900",
    'MAN: "ssdp:discover"',
    "MX: 2",
    "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:2",
)
TV20_ANSWER = _http(
    "HTTP/1.1 200 OK",
    "CACHE-CONTROL: max-age=1800",
    "EXT:",
    "LOCATION: http://192.168.1.1:5000/igd/rootDesc.xml",
    "SERVER: TestOS/1.0 UPnP/1.1 FakeIGD/1.0",
    "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:2",
    "USN: uuid:2fac1234-31f8-11b4-a222-08002b34c003::urn:schemas-upnp-org:device:InternetGatewayDevice:2",
    "BOOTID.UPNP.ORG: 7",
    "CONFIGID.UPNP.ORG: 1",
)
TV20_BYEBYE = _http(
    "NOTIFY * HTTP/1.1",
    "HOST: 239.255.255.250:1900",
    "NT: upnp:rootdevice",
    "NTS: ssdp:byebye",
    "USN: uuid:2fac1234-31f8-11b4-a222-08002b34c003::upnp:rootdevice",
    "BOOTID.UPNP.ORG: 7",
    "CONFIGID.UPNP.ORG: 1",
)

# --- TV-21 A device description without URLBase; its location is that of TV-20
TV21_DESC = (
    b'<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major>'
    b"<minor>1</minor></specVersion><device>"
    b"<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:2</deviceType><friendlyName>Fake IGD"
    b"</friendlyName><manufacturer>portmapper tests</manufacturer><modelName>fake</modelName>"
    b"<UDN>uuid:2fac1234-31f8-11b4-a222-08002b34c003</UDN><deviceList><device>"
    b"<deviceType>urn:schemas-upnp-org:device:WANDevice:2</deviceType><friendlyName>WAN</friendlyName>"
    b"<manufacturer>portmapper tests</manufacturer><modelName>fake</modelName>"
    b"<UDN>uuid:2fac1234-31f8-11b4-a222-08002b34c004</UDN><deviceList><device>"
    b"<deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:2</deviceType><friendlyName>WANConn"
    b"</friendlyName><manufacturer>portmapper tests</manufacturer><modelName>fake</modelName>"
    b"<UDN>uuid:2fac1234-31f8-11b4-a222-08002b34c005</UDN><serviceList><service>"
    b"<serviceType>urn:schemas-upnp-org:service:WANIPConnection:2</serviceType>"
    b"<serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><SCPDURL>WANIPCn.xml</SCPDURL>"
    b"<controlURL>ctl/IPConn</controlURL><eventSubURL>evt/IPConn</eventSubURL></service><service>"
    b"<serviceType>urn:schemas-upnp-org:service:WANIPv6FirewallControl:1</serviceType>"
    b"<serviceId>urn:upnp-org:serviceId:WANIPv6Firewall1</serviceId><SCPDURL>/WANIP6FC.xml</SCPDURL>"
    b"<controlURL>/ctl/IP6FW</controlURL><eventSubURL>/evt/IP6FW</eventSubURL></service></serviceList>"
    b"</device></deviceList></device></deviceList></device></root>"
)

# --- TV-22 SOAP: AddPortMapping, its M-POST form, and its answer
_TV22_BODY = (
    '<?xml version="1.0"?>'
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
    's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
    '<s:Body><u:AddPortMapping xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:2"><NewRemoteHost>'
    "</NewRemoteHost><NewExternalPort>40000</NewExternalPort><NewProtocol>TCP</NewProtocol>"
    "<NewInternalPort>8080</NewInternalPort><NewInternalClient>192.168.1.10</NewInternalClient>"
    "<NewEnabled>1</NewEnabled><NewPortMappingDescription>web &amp; api &lt;1&gt;"
    "</NewPortMappingDescription><NewLeaseDuration>3600</NewLeaseDuration></u:AddPortMapping></s:Body>"
    "</s:Envelope>"
)
TV22_REQ = _http(
    "POST /igd/ctl/IPConn HTTP/1.1",
    "HOST: 192.168.1.1:5000",
    "CONTENT-LENGTH: 605",
    'CONTENT-TYPE: text/xml; charset="utf-8"',
    'SOAPACTION: "urn:schemas-upnp-org:service:WANIPConnection:2#AddPortMapping"',
    body=_TV22_BODY,
)
TV22_MPOST = _http(
    "M-POST /igd/ctl/IPConn HTTP/1.1",
    "HOST: 192.168.1.1:5000",
    "CONTENT-LENGTH: 605",
    'CONTENT-TYPE: text/xml; charset="utf-8"',
    'MAN: "http://schemas.xmlsoap.org/soap/envelope/"; ns=01',
    '01-SOAPACTION: "urn:schemas-upnp-org:service:WANIPConnection:2#AddPortMapping"',
    body=_TV22_BODY,
)
TV22_RESP = _http(
    "HTTP/1.1 200 OK",
    "CONTENT-LENGTH: 285",
    'CONTENT-TYPE: text/xml; charset="utf-8"',
    "EXT:",
    "SERVER: TestOS/1.0 UPnP/1.1 FakeIGD/1.0",
    body=(
        '<?xml version="1.0"?>'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
        '<s:Body><u:AddPortMappingResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:2">'
        "</u:AddPortMappingResponse></s:Body></s:Envelope>"
    ),
)

# --- TV-23 SOAP: fault 725; the answer to AddAnyPortMapping, with other prefixes on purpose
TV23_FAULT = _http(
    "HTTP/1.1 500 Internal Server Error",
    "CONTENT-LENGTH: 433",
    'CONTENT-TYPE: text/xml; charset="utf-8"',
    "EXT:",
    "SERVER: TestOS/1.0 UPnP/1.0 FakeIGD/1.0",
    body=(
        '<?xml version="1.0"?>'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
        "<s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>"
        '<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>725</errorCode>'
        "<errorDescription>OnlyPermanentLeasesSupported</errorDescription></UPnPError></detail></s:Fault>"
        "</s:Body></s:Envelope>"
    ),
)
TV23_ADDANY_RESP = _http(
    "HTTP/1.1 200 OK",
    "CONTENT-LENGTH: 373",
    'CONTENT-TYPE: text/xml; charset="utf-8"',
    body=(
        '<?xml version="1.0"?>'
        '<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/" '
        'SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
        "<SOAP-ENV:Body>"
        '<m:AddAnyPortMappingResponse xmlns:m="urn:schemas-upnp-org:service:WANIPConnection:2">'
        "<NewReservedPort>40123</NewReservedPort></m:AddAnyPortMappingResponse></SOAP-ENV:Body>"
        "</SOAP-ENV:Envelope>"
    ),
)

# --- TV-24 SOAP: the answer to GetListOfPortMappings, two entries of escaped XML
TV24_RESP = _http(
    "HTTP/1.1 200 OK",
    "CONTENT-LENGTH: 1407",
    'CONTENT-TYPE: text/xml; charset="utf-8"',
    body=(
        '<?xml version="1.0"?>'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
        '<s:Body><u:GetListOfPortMappingsResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:2">'
        '<NewPortListing>&lt;p:PortMappingList xmlns:p="urn:schemas-upnp-org:gw:WANIPConnection"&gt;'
        "&lt;p:PortMappingEntry&gt;&lt;p:NewRemoteHost&gt;&lt;/p:NewRemoteHost&gt;"
        "&lt;p:NewExternalPort&gt;40000&lt;/p:NewExternalPort&gt;&lt;p:NewProtocol&gt;TCP&lt;/p:NewProtocol&gt;"
        "&lt;p:NewInternalPort&gt;8080&lt;/p:NewInternalPort&gt;"
        "&lt;p:NewInternalClient&gt;192.168.1.10&lt;/p:NewInternalClient&gt;"
        "&lt;p:NewEnabled&gt;1&lt;/p:NewEnabled&gt;"
        "&lt;p:NewDescription&gt;web &amp;amp; api &amp;lt;1&amp;gt;&lt;/p:NewDescription&gt;"
        "&lt;p:NewLeaseTime&gt;3599&lt;/p:NewLeaseTime&gt;&lt;/p:PortMappingEntry&gt;"
        "&lt;p:PortMappingEntry&gt;&lt;p:NewRemoteHost&gt;198.51.100.20&lt;/p:NewRemoteHost&gt;"
        "&lt;p:NewExternalPort&gt;51820&lt;/p:NewExternalPort&gt;&lt;p:NewProtocol&gt;UDP&lt;/p:NewProtocol&gt;"
        "&lt;p:NewInternalPort&gt;51820&lt;/p:NewInternalPort&gt;"
        "&lt;p:NewInternalClient&gt;192.168.1.10&lt;/p:NewInternalClient&gt;"
        "&lt;p:NewEnabled&gt;0&lt;/p:NewEnabled&gt;&lt;p:NewDescription&gt;&lt;/p:NewDescription&gt;"
        "&lt;p:NewLeaseTime&gt;0&lt;/p:NewLeaseTime&gt;&lt;/p:PortMappingEntry&gt;&lt;/p:PortMappingList&gt;"
        "</NewPortListing></u:GetListOfPortMappingsResponse></s:Body></s:Envelope>"
    ),
)

# --- TV-25 GENA, which is not spoken here: subscription and first event; SOAP: AddPinhole
TV25_SUBSCRIBE = _http(
    "SUBSCRIBE /igd/evt/IPConn HTTP/1.1",
    "HOST: 192.168.1.1:5000",
    "CALLBACK: <http://192.168.1.10:49200/evt/5f2c9a>",
    "NT: upnp:event",
    "TIMEOUT: Second-1800",
)
TV25_NOTIFY = _http(
    "NOTIFY /evt/5f2c9a HTTP/1.1",
    "HOST: 192.168.1.10:49200",
    'CONTENT-TYPE: text/xml; charset="utf-8"',
    "CONTENT-LENGTH: 466",
    "NT: upnp:event",
    "NTS: upnp:propchange",
    "SID: uuid:6b2f0c1e-0000-11b4-a222-08002b34c003",
    "SEQ: 0",
    body=(
        '<?xml version="1.0"?><e:propertyset xmlns:e="urn:schemas-upnp-org:event-1-0"><e:property>'
        "<PossibleConnectionTypes>IP_Routed</PossibleConnectionTypes></e:property><e:property>"
        "<ConnectionStatus>Connected</ConnectionStatus></e:property><e:property>"
        "<ExternalIPAddress>203.0.113.7</ExternalIPAddress></e:property><e:property>"
        "<PortMappingNumberOfEntries>2</PortMappingNumberOfEntries></e:property><e:property>"
        "<SystemUpdateID>5</SystemUpdateID></e:property></e:propertyset>"
    ),
)
TV25_ADDPINHOLE = _http(
    "POST /ctl/IP6FW HTTP/1.1",
    "HOST: 192.168.1.1:5000",
    "CONTENT-LENGTH: 448",
    'CONTENT-TYPE: text/xml; charset="utf-8"',
    'SOAPACTION: "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1#AddPinhole"',
    body=(
        '<?xml version="1.0"?>'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
        '<s:Body><u:AddPinhole xmlns:u="urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"><RemoteHost>'
        "</RemoteHost><RemotePort>0</RemotePort><InternalClient>2001:db8::10</InternalClient>"
        "<InternalPort>51820</InternalPort><Protocol>17</Protocol><LeaseTime>3600</LeaseTime></u:AddPinhole>"
        "</s:Body></s:Envelope>"
    ),
)
