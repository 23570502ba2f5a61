"""Follows an event server elsewhere: logs in, keeps the connection honest, turns its alarms into events."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime
from urllib.parse import urlsplit

import trio

from agent.model.errors import AuthenticationError, ConfigError, MalformedMessage, PeerError
from agent.model.events import CameraAlarm
from agent.net.websocket import ClientPeer, connect_websocket
from agent.runtime import Context
from agent.workers.zmes.client_intake import Intake
from agent.workers.zmes.client_translate import camera_alarm, filter_lists, websocket_url
from agent.workers.zmes.client_trust import read_secret, tls_context, weaknesses
from agent.workers.zmes.config import UpstreamConfig
from agent.workers.zmes.wire import (
    Alarm,
    Auth,
    AuthReply,
    ControlReply,
    Filter,
    MalformedReply,
    Reply,
    Version,
    decode_reply,
    encode_request,
)

CONNECT_S = 20.0
AUTH_REPLY_S = 20.0
PROBE_EVERY_S = 60.0
PROBE_REPLY_S = 10.0
COMPLAIN_EVERY_S = 60.0
SILENCE_S = 90.0
MAX_MESSAGE_BYTES = 262_144
MAX_MALFORMED_IN_A_ROW = 20
APP_VERSION = "portero"
_REASON_CHARS = 64

logger = logging.getLogger(__name__)


async def follow(config: UpstreamConfig, context: Context, *, intake: Intake | None = None) -> None:
    """Report the alarms of one upstream for as long as it can be heard; never returns normally.

    intake: what is known of earlier connections to the same upstream; without it an alarm that is repeated
    after a reconnection is reported again.
    Raises: PeerError when it is unreachable, silent, closed or talks nonsense; AuthenticationError when
    it refuses the credentials; ConfigError when a file of the configuration cannot be used.
    Cancellation: what was reported stays reported; nothing else is left behind.
    """
    url = websocket_url(config.url)
    parts = urlsplit(url)
    tls = parts.scheme == "wss"
    where = f"workers.zmes.upstream.{config.name}"
    password = read_secret(config.password_file, f"{where}.password_file")
    weakness = weaknesses(config, parts.hostname or "", tls=tls)
    if weakness:
        logger.warning("upstream=%s weakness=%s", config.name, weakness)
    try:
        connection = connect_websocket(
            url,
            ssl_context=tls_context(config) if tls else None,
            connect_timeout_s=CONNECT_S,
            silence_timeout_s=SILENCE_S,
            max_message_bytes=MAX_MESSAGE_BYTES,
        )
    except ValueError as error:
        raise ConfigError(f"{where}.url", str(error)) from error
    session = _Session(config, context, intake if intake is not None else Intake())
    session.show("state", "connecting")
    ended = "offline"
    try:
        async with connection as peer:
            await session.log_in(peer, password)
            await session.listen(peer)
    except AuthenticationError:
        ended = "refused"
        raise
    finally:
        session.show("state", ended)


class _Session:
    """One connection to an upstream, and what of it is shown on the page."""

    def __init__(self, config: UpstreamConfig, context: Context, intake: Intake) -> None:
        self._config = config
        self._context = context
        self._intake = intake
        self._malformed_in_a_row = 0
        self._complained_at: dict[str, float] = {}

    def show(self, key: str, value: str | int) -> None:
        """Set one of this upstream's status values."""
        self._context.page(f"upstream.{self._config.name}.{key}", value)

    async def log_in(self, peer: ClientPeer, password: str) -> None:
        """Authenticate and set the filter.

        A server that refuses keeps the socket open but no longer listens to it, so a refusal ends it here.
        Raises: AuthenticationError, PeerError.
        Source: observed with server 6.1.29.
        """
        self.show("state", "authenticating")
        await peer.send_text(
            encode_request(Auth(user=self._config.user, password=password, appversion=APP_VERSION))
        )
        try:
            with trio.fail_after(AUTH_REPLY_S):
                await self._authenticated(peer)
        except trio.TooSlowError as error:
            raise PeerError(f"no answer to auth within {AUTH_REPLY_S:g} s") from error
        if self._config.monitors:
            monlist, intlist = filter_lists(self._config.monitors)
            await peer.send_text(encode_request(Filter(monlist=monlist, intlist=intlist)))
        self.show("state", "following")
        logger.info("upstream=%s state=following", self._config.name)

    async def _authenticated(self, peer: ClientPeer) -> None:
        while True:
            match await self._next(peer):
                case AuthReply(ok=True, version=version):
                    self.show("version", version[:_REASON_CHARS])
                    return
                case AuthReply(reason=reason):
                    raise _refusal(reason)
                case _:
                    self._ignore()

    async def listen(self, peer: ClientPeer) -> None:
        """Report alarms, and ask for the version whenever nothing was said for a minute.

        Neither brand of server answers a websocket PING, and a server that has dropped us from its list goes
        on sending its own; so only a message proves that we would be told of an alarm.
        Raises: PeerError when the answer is late, or the connection ends; AuthenticationError.
        Source: observed with server 6.1.29.
        """
        asked = False
        deadline = trio.current_time() + PROBE_EVERY_S
        while True:
            reply: Reply | None = None
            with trio.move_on_at(deadline):
                reply = await self._next(peer)
            if reply is None:
                if asked:
                    raise PeerError(f"no answer to control version within {PROBE_REPLY_S:g} s")
                await peer.send_text(encode_request(Version()))
                asked = True
                deadline = trio.current_time() + PROBE_REPLY_S
            elif self._handle(reply):
                asked = False
                deadline = trio.current_time() + PROBE_EVERY_S

    async def _next(self, peer: ClientPeer) -> Reply:
        """The next message that can be read.

        Raises: PeerError when the connection ends, or after 20 unreadable messages in a row.
        """
        while True:
            message = await peer.receive()
            try:
                if isinstance(message, bytes):
                    raise MalformedMessage("es reply", "expected text, got a binary message")
                reply = decode_reply(message)
            except MalformedMessage as error:
                logger.debug("upstream=%s malformed=%s", self._config.name, error)
                self._count_malformed()
                self._malformed_in_a_row += 1
                if self._malformed_in_a_row >= MAX_MALFORMED_IN_A_ROW:
                    raise PeerError(
                        f"{self._malformed_in_a_row} unreadable messages in a row, the last: {error}"
                    ) from error
                continue
            self._malformed_in_a_row = 0
            return reply

    def _handle(self, reply: Reply) -> bool:
        """Act on a message; True when it proves that the upstream still counts us among its listeners."""
        match reply:
            case Alarm(items=items):
                for item in items:
                    alarm = camera_alarm(self._config.name, item)
                    if alarm is None:
                        self._count_malformed()
                    else:
                        self._admit(alarm)
                return True
            case ControlReply(kind="version", ok=True, version=version):
                self.show("version", version[:_REASON_CHARS])
                return True
            case ControlReply(kind="filter", ok=False, reason=reason):
                self._complain("filter refused", reason)
                return True
            case AuthReply(ok=False, reason=reason):
                raise _refusal(reason)
            case MalformedReply():
                # Sent also to those who are no longer listened to, so it proves nothing.
                self._complain("cannot read what we send")
                self._ignore()
                return False
            case _:
                self._ignore()
                return False

    def _admit(self, alarm: CameraAlarm) -> None:
        counts = self._intake.counts
        match self._intake.judge(alarm, trio.current_time()):
            case "report":
                self._context.report(alarm)
                self.show("alarms", counts.alarms)
                at = datetime.now(UTC).isoformat(timespec="seconds")
                phase = "end" if alarm.ended else "start"
                self.show("last_alarm", f"{at} {phase} {alarm.monitor}: {alarm.cause}")
            case "flood":
                self._complain("too many alarms, some are dropped")
                self.show("dropped", counts.dropped)
            case "duplicate":
                logger.debug("upstream=%s duplicate event_id=%s", self._config.name, alarm.event_id)

    def _count_malformed(self) -> None:
        self._intake.counts.malformed += 1
        self.show("malformed", self._intake.counts.malformed)

    def _complain(self, what: str, detail: str = "") -> None:
        """A warning in the system log, each `what` not more often than once a minute."""
        now = trio.current_time()
        if now - self._complained_at.get(what, -math.inf) >= COMPLAIN_EVERY_S:
            self._complained_at[what] = now
            logger.warning("upstream=%s complaint=%s detail=%s", self._config.name, what, _short(detail))

    def _ignore(self) -> None:
        self._intake.counts.ignored += 1
        self.show("ignored", self._intake.counts.ignored)


def _refusal(reason: str) -> AuthenticationError | PeerError:
    """NOAUTH means that we came too late, which another try may mend; every other refusal is final."""
    if reason == "NOAUTH":
        return PeerError("the server hung up: NOAUTH")
    return AuthenticationError(f"the server refused the credentials: {_short(reason) or 'no reason given'}")


def _short(text: str) -> str:
    return ascii(text[:_REASON_CHARS])[1:-1]
