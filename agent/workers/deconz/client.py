"""The door follows a deCONZ gateway: finds it, is let in, reads everything, hears what changes, and commands.

Whatever happens to the connection, what the door owes stays owed: a siren that it made sound is stopped, a
lock that it opened is locked, as soon as the gateway can be told.
"""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import trio

from agent.model.errors import AgentError, AuthenticationError, CommandError, ConfigError, PeerError
from agent.net.backoff import Backoff
from agent.net.http_client import HttpClient
from agent.net.trust import client_context
from agent.runtime import Context, Remote
from agent.wire.fingerprint import plain_fingerprint
from agent.workers.deconz.client_board import Board
from agent.workers.deconz.client_discovery import discover
from agent.workers.deconz.client_key import Key, KeyStore
from agent.workers.deconz.client_link import Link
from agent.workers.deconz.client_pairing import identify, pair
from agent.workers.deconz.client_rest import STATE_S, Rest
from agent.workers.deconz.client_session import CONNECT_S, Session
from agent.workers.deconz.client_translate import websocket_url
from agent.workers.deconz.client_view import DeviceRow, View
from agent.workers.deconz.config import GatewayConfig
from agent.workers.deconz.ssdp_wire import SSDP_ADDRESS, SSDP_PORT
from agent.workers.deconz.wire import MAX_BODY_BYTES

FIRST_S = 1.0
MOST_S = 15.0
PATIENCE_S = 60.0  # a gateway may ask for so much of it
HEALTHY_S = 30.0
GRACE_S = 5.0  # a gateway that is back so soon has not been away
MAX_CONNECTIONS = 4
FAILED = "the connection to its gateway has failed"

logger = logging.getLogger(__name__)


class Follower:
    """One gateway, for as long as the worker runs.

    remotes: the endpoints of this house that are devices of it. ssdp: where gateways are looked for.
    rng: gives numbers in [0, 1).
    """

    def __init__(
        self,
        config: GatewayConfig,
        context: Context,
        remotes: Sequence[Remote],
        *,
        ssdp: tuple[str, int] = (SSDP_ADDRESS, SSDP_PORT),
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.name = config.name
        self._config = config
        self._context = context
        self._ssdp = ssdp
        self._rng = rng
        self._keys = KeyStore(config, context.state_dir)
        self._board = Board(config.name, context.page)
        self._link = Link()
        self._late = trio.Event()
        self._view = View(
            config.name,
            remotes,
            self._link,
            context.report,
            folder=context.state_dir,
            late=lambda: self._late.set(),
        )
        self._parked = False
        self._parking = trio.CancelScope()
        self._hurry = trio.Event()
        self._pairing = False
        self._last_url = ""
        self._times_live = 0
        self._live_since: float | None = None

    async def run(self) -> None:
        """Follow for ever, supervised; a new key ends the wait of a parked one at once."""
        while True:
            with trio.CancelScope() as self._parking:
                await self._context.supervise(f"gateway.{self.name}", self.follow)
            if not self._parking.cancelled_caught:
                return

    async def follow(self) -> None:
        """Follow through any number of connections; never returns normally.

        Keeps its own pauses between connections, because a minute is too long for a doorbell.
        Raises: AuthenticationError without a key or with one that is refused; ConfigError when a file of the
        configuration cannot be used.
        Cancellation: what sounds, stands open or shines for a while is ended at the gateway, within 2 s.
        """
        self._parked = False
        failure: AgentError | None = None
        try:
            tls = self._trust()
            async with self._http(tls) as http, trio.open_nursery() as nursery:
                nursery.start_soon(self._flush)
                for binding in self._view.bindings:
                    if binding.output is not None:
                        nursery.start_soon(binding.output.run)
                failure = await self._stay_connected(http, tls, nursery)
                nursery.cancel_scope.cancel()
        except ConfigError as error:
            failure = error
        finally:
            self._link.rest = None  # its connections are closed
            if trio.current_effective_deadline() > float("-inf"):
                self._view.lost(str(failure or FAILED), trio.current_time())
            self._board.state("stopped" if failure is None else "parked", str(failure or ""))
        assert failure is not None
        self._parked = True
        raise failure

    # ----- what a person asks -----

    async def pair(self, wait_s: float) -> dict[str, object]:
        """Ask the gateway for a key, keep it, and follow with it. Raises: CommandError."""
        if self._keys.is_configured:
            raise CommandError(f"{self.name} has a key_file: put the key there, or remove it and pair again")
        if self._pairing:
            raise CommandError(f"{self.name} is being paired already")
        self._pairing = True
        try:
            async with self._http(self._trust()) as http:
                rest = Rest(http, await self._find(""))
                paired = await pair(rest, self._config.bridge_id, wait_s=wait_s)
            await self._keys.keep(Key(text=paired.key, bridge_id=paired.bridge_id))
        except (PeerError, ConfigError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"the key cannot be kept: {error.strerror or error}") from error
        finally:
            self._pairing = False
        logger.info("gateway=%s paired bridge_id=%s", self.name, paired.bridge_id)
        self._link.key = paired.key
        self._hurry.set()
        if self._parked:
            self._parking.cancel()
        return {"gateway": self.name, "bridgeid": paired.bridge_id, "name": paired.name}

    def status(self) -> dict[str, object]:
        """Its row of `portero deconz status`."""
        return self._board.plain()

    def devices(self) -> list[DeviceRow]:
        """Its rows of `portero deconz devices`."""
        return self._view.rows()

    # ----- connections -----

    async def _stay_connected(
        self, http: HttpClient, tls: ssl.SSLContext | None, nursery: trio.Nursery
    ) -> AgentError:
        """Connect again and again; the error that only a person can mend."""
        backoff = Backoff(first_s=FIRST_S, max_s=MOST_S, rng=self._rng)
        while True:
            self._hurry = trio.Event()
            self._live_since = None
            try:
                await self._connect(http, tls)
            except (AuthenticationError, ConfigError) as error:
                return error
            except PeerError as error:
                failure = error
            logger.info("gateway=%s lost reason=%s", self.name, failure)
            self._board.state("retrying", str(failure))
            if self._live_since is None:
                self._view.lost(str(failure), trio.current_time())
            else:
                nursery.start_soon(self._lose_patience, self._times_live, str(failure))
                if trio.current_time() - self._live_since >= HEALTHY_S:
                    backoff.reset()
            pause_s = max(backoff.next_s(), min(failure.retry_after_s or 0.0, PATIENCE_S))
            with trio.move_on_after(pause_s):
                await self._hurry.wait()

    async def _connect(self, http: HttpClient, tls: ssl.SSLContext | None) -> None:
        """One connection. Raises: PeerError, AuthenticationError, ConfigError."""
        key = self._keys.read()
        if key is None:
            raise AuthenticationError(f"no API key: run `portero deconz pair {self.name}`")
        self._board.state("connecting", self._board.row.problem)
        url = await self._find(key.bridge_id)
        rest = Rest(http, url)
        # A key is not sent to whatever calls itself a gateway in this network.
        expected = self._config.bridge_id or (key.bridge_id if self._config.url is None else "")
        who = await identify(rest, expected or None)
        self._board.show(url=url, bridgeid=who.bridge_id, version=who.version)
        try:
            config = await rest.full_config(key.text)
            # Before its events flow: what is pressed from now on is new, what was pressed before is old.
            before = await rest.full_state(key.text)
            self._view.read(before, trio.current_time(), live=False)
            self._link.rest, self._link.key = rest, key.text
            session = Session(self._view, self._board, rest, key.text, live=self._went_live)
            self._link.refused = session.read_soon
            websocket = websocket_url(url, config, self._config.ws_port)
            self._board.show(ws_port=urlsplit(websocket).port or 0)
            await session.run(websocket, tls)
        except AuthenticationError as error:
            what = "put a new one into key_file" if self._keys.is_configured else (
                f"run `portero deconz pair {self.name}`"
            )  # fmt: skip
            raise AuthenticationError(f"{error}: {what}") from error

    async def _find(self, bridge_id: str) -> str:
        """The root of its REST API. Raises: PeerError."""
        if self._config.url is not None:
            return self._config.url
        address, port = self._ssdp
        try:
            found = await discover(self._config.bridge_id or bridge_id, address=address, port=port)
        except PeerError:
            if not self._last_url:
                raise
            return self._last_url  # where it was; multicast does not get through everywhere, always
        self._last_url = found.url
        return found.url

    def _went_live(self) -> None:
        self._times_live += 1
        self._live_since = trio.current_time()
        self._board.state("following")
        logger.info("gateway=%s state=following", self.name)

    async def _lose_patience(self, times_live: int, reason: str) -> None:
        await trio.sleep(GRACE_S)
        if self._times_live == times_live:
            self._view.lost(reason, trio.current_time())

    async def _flush(self) -> None:
        """Tell what had to wait, as fast as the house may be told."""
        while True:
            self._late = trio.Event()
            wait_s = self._view.flush(trio.current_time())
            if wait_s is None:
                await self._late.wait()
            else:
                await trio.sleep(wait_s)

    # ----- trust -----

    def _http(self, tls: ssl.SSLContext | None) -> HttpClient:
        return HttpClient(
            timeout_s=STATE_S,
            connect_timeout_s=CONNECT_S,
            max_body_bytes=MAX_BODY_BYTES,
            ssl_context=tls,
            max_connections=MAX_CONNECTIONS,
        )

    def _trust(self) -> ssl.SSLContext | None:
        """How its certificate is checked; None: it has none. Raises: ConfigError."""
        config = self._config
        if config.url is None or urlsplit(config.url).scheme != "https":
            return None
        pinned = None if config.fingerprint is None else bytes.fromhex(plain_fingerprint(config.fingerprint))
        return client_context(
            ca_file=config.ca_file, fingerprint=pinned, where=f"workers.deconz.gateway.{config.name}"
        )
