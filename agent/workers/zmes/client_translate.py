"""Foreign alarms as events of this house: pure, without state.

Text from event servers is often mojibake: UTF-8 that was taken for Latin-1 and encoded again, once or twice
(`Hof ü` arrives as `Hof Ã¼`). See `repair_text` for the rule by which it is mended.
"""

from __future__ import annotations

from agent.model.events import CameraAlarm
from agent.workers.zmes.replies import AlarmItem

MAX_LAYERS = 3
MAX_ID_CHARS = 32
MAX_MONITOR_CHARS = 128
MAX_CAUSE_CHARS = 512
END_PREFIX = "End:"

_C1_CONTROLS = range(0x80, 0xA0)


def repair_text(text: str) -> str:
    """The text without the extra layers of UTF-8 that event servers put around it, at most three.

    The rule: a layer comes off only when *all* of the text fits Latin-1 and those bytes are *all* valid
    UTF-8; one `ü` that is right, or one sign beyond Latin-1, proves that there is no layer left. A reading
    with C1 control characters is nobody's name: the last one without them is taken, or the text as it came.
    What this cannot tell apart is a name that really reads `Ã¼`; nobody has met a camera of that name.
    Source: observed with server 6.1.29: names have one layer too many, causes from shared memory more.
    """
    best = text
    for _ in range(MAX_LAYERS):
        if text.isascii():
            break
        try:
            text = text.encode("latin-1").decode()
        except UnicodeError:
            break
        if not any(ord(sign) in _C1_CONTROLS for sign in text):
            best = text
    return best


def split_cause(cause: str) -> tuple[bool, str]:
    """Whether a cause tells the end of an event, and the cause without the prefixes that say so.

    Source: observed with server 6.1.29: the end is told by the text alone, and the prefix piles up with each
    recipient (`End:End:End:Motion`).
    """
    ended = False
    rest = cause.strip()
    while rest.startswith(END_PREFIX):
        ended = True
        rest = rest[len(END_PREFIX) :].lstrip()
    return ended, rest


def camera_alarm(source: str, item: AlarmItem) -> CameraAlarm | None:
    """The alarm as an event, or None when its ids are missing or absurd.

    source: the configured name of the event server. Texts are mended, freed of control characters and cut.
    """
    if not (0 < len(item.monitor_id) <= MAX_ID_CHARS and 0 < len(item.event_id) <= MAX_ID_CHARS):
        return None
    if not (item.monitor_id.isprintable() and item.event_id.isprintable()):
        return None
    ended, cause = split_cause(_clean(item.cause))
    return CameraAlarm(
        source=source,
        monitor_id=item.monitor_id,
        monitor=_clean(item.monitor_name or item.name)[:MAX_MONITOR_CHARS],
        cause=cause[:MAX_CAUSE_CHARS],
        event_id=item.event_id,
        ended=ended,
    )


def filter_lists(monitors: tuple[str, ...]) -> tuple[str, str]:
    """monlist and intlist of a `control filter` for these monitors, each at once (interval 0)."""
    return ",".join(monitors), ",".join("0" for _ in monitors)


def websocket_url(url: str) -> str:
    """The websocket address behind what an operator typed: http and https mean ws and wss, as in the apps."""
    scheme, separator, rest = url.partition("://")
    scheme = {"http": "ws", "https": "wss"}.get(scheme.lower(), scheme.lower())
    rest = rest.partition("#")[0]
    authority, slash, path = rest.partition("/")
    authority, question, query = authority.partition("?")
    if question:
        slash, path = "/", f"?{query}{slash}{path}"
    return f"{scheme}{separator}{authority}{slash or '/'}{path}"


def _clean(text: str) -> str:
    """Mended text on one line: whatever cannot be printed becomes a blank, runs of blanks become one."""
    mended = repair_text(text)
    return " ".join("".join(sign if sign.isprintable() else " " for sign in mended).split())
