"""What the rules of nftables, as `nft -j list ruleset` prints them, do by and large. No I/O.

Jumps are not followed and matches not weighed: this is for a hint, never for a verdict of its own.
"""

import json
from collections.abc import Iterator
from typing import Any

_STOPS = ("drop", "reject")


def read_ruleset(text: str) -> tuple[bool, bool] | None:
    """Return whether packets from outside are dropped unless a rule takes them, and whether a rule stops outgoing ones.

    None when the text makes no sense.
    """
    try:
        told = json.loads(text)
        entries: list[dict[str, Any]] = [one for one in told["nftables"] if isinstance(one, dict)]
    except (ValueError, TypeError, KeyError):
        return None
    incoming = any(_policy_drops(chain) or _ends_in_stop(chain, entries) for chain in _hooked(entries, "input"))
    outgoing = any(_policy_drops(chain) or any(_stops(rule) for rule in _rules(chain, entries))
                   for chain in _hooked(entries, "output"))  # fmt: skip
    return incoming, outgoing


def _hooked(entries: list[dict[str, Any]], hook: str) -> Iterator[dict[str, Any]]:
    chains = (one["chain"] for one in entries if isinstance(one.get("chain"), dict))
    return (chain for chain in chains if chain.get("hook") == hook and chain.get("type") == "filter")


def _policy_drops(chain: dict[str, Any]) -> bool:
    return chain.get("policy") == "drop"


def _rules(chain: dict[str, Any], entries: list[dict[str, Any]]) -> list[list[Any]]:
    place = (chain.get("family"), chain.get("table"), chain.get("name"))
    rules = (one["rule"] for one in entries if isinstance(one.get("rule"), dict))
    mine = (rule for rule in rules if (rule.get("family"), rule.get("table"), rule.get("chain")) == place)
    return [rule["expr"] for rule in mine if isinstance(rule.get("expr"), list)]


def _stops(expressions: list[Any]) -> bool:
    return any(isinstance(one, dict) and name in one for one in expressions for name in _STOPS)


def _ends_in_stop(chain: dict[str, Any], entries: list[dict[str, Any]]) -> bool:
    rules = _rules(chain, entries)
    return bool(rules) and _stops(rules[-1]) and not any("match" in one for one in rules[-1] if isinstance(one, dict))
