#!/bin/sh
# Install what the router tests need, where that can be done without asking: as root, with apt-get.
set -e
if command -v miniupnpd >/dev/null && command -v nft >/dev/null && command -v ip >/dev/null; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then exit 0; fi
echo "installing miniupnpd-nftables, nftables and iproute2 for the router tests"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends miniupnpd-nftables nftables iproute2 >/dev/null
