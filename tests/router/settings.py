"""What the router is given: its nftables rules, and the configuration of miniupnpd."""

FIREWALL = """
table inet filter {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    jump miniupnpd
    iifname "lan0" accept
  }
  chain miniupnpd {
  }
  chain prerouting {
    type nat hook prerouting priority -100;
    jump prerouting_miniupnpd
  }
  chain postrouting {
    type nat hook postrouting priority 100;
    jump postrouting_miniupnpd
    oifname "wan0" masquerade
  }
  chain prerouting_miniupnpd {
  }
  chain postrouting_miniupnpd {
  }
}
"""

CONFIG = """
ext_ifname=wan0
listening_ip=lan0
enable_natpmp={natpmp}
enable_upnp={upnp}
min_lifetime={min_lifetime}
max_lifetime=86400
secure_mode=yes
http_port=0
uuid=00000000-0000-0000-0000-00000000ab1e
lease_file={folder}/leases
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
{extra}
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""
