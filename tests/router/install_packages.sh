#!/bin/sh
# Install what the tests against a real router and in a real terminal need, where that can be done without asking: as root,
# with apt-get.
set -e
wanted=""
if ! command -v miniupnpd >/dev/null || ! command -v nft >/dev/null || ! command -v ip >/dev/null; then
    wanted="miniupnpd-nftables nftables iproute2"
fi
if ! command -v tmux >/dev/null; then wanted="$wanted tmux"; fi
if [ -z "$wanted" ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then exit 0; fi
echo "installing for the tests: $wanted"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # several words
apt-get install -y -qq --no-install-recommends $wanted >/dev/null
