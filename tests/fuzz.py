"""How many examples the property tests draw: few in the suite, many more under ``make fuzz``."""

import os

from hypothesis import settings

_FACTOR = int(os.environ.get("PORTMAPPER_FUZZ", "1"))


def examples(count: int) -> settings:
    """Return the decorator that draws `count` examples, times PORTMAPPER_FUZZ."""
    return settings(max_examples=count * _FACTOR, deadline=None)
