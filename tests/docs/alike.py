"""Whether a program printed what a page shows, up to what differs from run to run."""

import re

_VARYING = (
    (re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE), ""),
    # First: a time is no address.
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\+00:00)?)?"), "<time>"),
    (re.compile(r"\[[0-9a-f:]*::?[0-9a-f:]*\](:\d+)?"), "<endpoint>"),
    (re.compile(r"\b\d{1,3}(\.\d{1,3}){3}(:\d+)?"), "<endpoint>"),
    (re.compile(r"(?<![\w:])[0-9a-f]*:[0-9a-f:]*:[0-9a-f]*(%\w+)?(?!\w)"), "<endpoint>"),
    (re.compile(r"\bport \d+ \((refused|taken)\)"), r"port <number> (\1)"),
    (re.compile(r"\bexternal port \d+"), "external port <number>"),
    (re.compile(r'"port": \d+'), '"port": <number>'),
    (re.compile(r"\bprocess \d+|\"pid\": \d+"), "<process>"),
    (re.compile(r"\b\d+ s (left|from now)"), r"<seconds> s \1"),
    (re.compile(r'"remaining": \d+'), '"remaining": <seconds>'),
    (re.compile(r"\b\d+(\.\d+)? ms\b"), "<time> ms"),
    (re.compile(r"\b(within|state for) \d+(\.\d+)? s\b"), r"\1 <seconds> s"),
    (re.compile(r"\s+"), " "),  # long lines are broken for the page
)
_GAP = "..."


def plain(text: str) -> str:
    """Return `text` with a word in the place of each address, port of an address, process, time and remaining time."""
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return text.strip()


def alike(shown: str, printed: str) -> bool:
    """Whether `printed` is what a page shows; a line "..." there stands for any lines."""
    parts = [re.escape(plain(part)) for part in re.split(rf"^\s*{re.escape(_GAP)}$", shown, flags=re.MULTILINE)]
    return re.fullmatch(".*".join(f" ?{part} ?" for part in parts), plain(printed)) is not None
