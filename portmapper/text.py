"""Make text from the network safe to print and to log."""

import unicodedata

from portmapper import limits

# C0, C1 and DEL steer terminals; format characters (bidi overrides), separators and lone surrogates forge lines.
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def safe_text(text: str, *, limit: int = limits.SHOWN_TEXT) -> str:
    """Return `text` with everything that could steer a terminal or forge a log line escaped, cut to `limit`."""
    shown = "".join(_escaped(char) for char in text[:limit])
    return shown if len(text) <= limit else shown + "..."


def _escaped(char: str) -> str:
    if unicodedata.category(char) in _UNSAFE:
        return char.encode("unicode_escape", "backslashreplace").decode("ascii")
    return char
