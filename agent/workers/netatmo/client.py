"""The door follows a Netatmo cloud: logs in, reads, listens to webhooks, and commands.

All of it is additive: without the internet the door's own hardware does what it always does. Webhooks are
listened to whatever becomes of the log-in, since a ring needs no token.
"""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import trio

from agent.model.errors import AuthenticationError, CommandError, ConfigError
from agent.net.http_client import HttpClient
from agent.net.trust import client_context, read_secret
from agent.runtime import Context, Remote
from agent.wire.fingerprint import plain_fingerprint
from agent.workers.netatmo.client_api import CALL_S, Api
from agent.workers.netatmo.client_bindings import Binding
from agent.workers.netatmo.client_board import Board, Webhook
from agent.workers.netatmo.client_cameras import Cameras
from agent.workers.netatmo.client_ears import Ears
from agent.workers.netatmo.client_login import Login, serve_callback, tokens_for
from agent.workers.netatmo.client_mailbox import Mailbox
from agent.workers.netatmo.client_oauth import GrantRefused, Grants, OAuth
from agent.workers.netatmo.client_poll import Poller
from agent.workers.netatmo.client_reports import Reports
from agent.workers.netatmo.client_rows import module_rows, person_rows
from agent.workers.netatmo.client_state import Mirror
from agent.workers.netatmo.client_tokens import TokenFile, Tokens, hook_secret, tokens_from
from agent.workers.netatmo.client_webhook import Keeper
from agent.workers.netatmo.config import CloudConfig
from agent.workers.netatmo.wire import MAX_BODY_BYTES, TokenAnswer

if TYPE_CHECKING:
    from agent.workers.netatmo.hooks import Receiver

CONNECT_S = 10.0
MAX_CONNECTIONS = 4
STALE = "the cloud has not been reached for a while"

logger = logging.getLogger(__name__)


class Follower:
    """One cloud account, for as long as the worker runs.

    remotes: the endpoints of this house that are modules of it. receiver: where its webhooks come in.
    rng: gives numbers in [0, 1).
    """

    def __init__(
        self, config: CloudConfig, context: Context, remotes: Sequence[Remote], *,
        rng: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self.name = config.name
        self.mirror = Mirror()
        self.receiver: Receiver | None = None
        self.api: Api | None = None
        self.cameras: Cameras | None = None
        self.mailbox = Mailbox()
        self._config = config
        self._context = context
        self._rng = rng
        self._where = f"workers.netatmo.cloud.{config.name}"
        self._file = TokenFile(context.state_dir, config.name)
        self._board = Board(config.name, context.page)
        self._reports = Reports(context.report)
        self._poller: Poller | None = None
        self._keeper = Keeper(self.hook_url(), self._show_webhook, cloud=config.url)
        self._bindings = [Binding(one, self.mirror, lambda: self.api, self._soon) for one in remotes]
        self.ears = Ears(
            config.name, self.mirror, self._bindings, self._reports, soon=self._soon,
            pushed=self._keeper.heard, activated=self._keeper.activated,
        )  # fmt: skip
        self._token_turn = trio.Lock()
        self._following = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._login: Login | None = None

    def hook_url(self) -> str | None:
        """The address that the vendor is given; None where there is none. Raises: ConfigError."""
        base = self._config.webhook_url
        if base is None:
            return None
        return f"{base.rstrip('/')}/{hook_secret(self._context.state_dir, self.name)}"

    def client_secret(self) -> str:
        """With which webhooks are signed, too. Raises: ConfigError."""
        return read_secret(self._config.client_secret_file, f"{self._where}.client_secret_file")

    # ----- life -----

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and follow for ever, both supervised; a log-in ends the wait of a parked one at once."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            self._nursery.start_soon(self._context.supervise, f"cloud.{self.name}.webhooks", self._listen)
            while True:
                with trio.CancelScope() as self._following:
                    await self._context.supervise(f"cloud.{self.name}", self.follow)
                if not self._following.cancelled_caught:
                    return

    async def follow(self) -> None:
        """Follow with the tokens that are on disk; never returns normally.

        Raises: AuthenticationError without tokens or with such as are refused; ConfigError.
        Cancellation: what shines for a while is switched off, within 2 s.
        """
        self._board.state("connecting", self._board.row.problem)
        try:
            await self._follow()
        except BaseExceptionGroup as group:
            expected, rest = group.split((AuthenticationError, ConfigError))
            if expected is None or rest is not None:
                raise
            self._park(_leaf(expected))
        except (AuthenticationError, ConfigError) as error:
            self._park(error)
        finally:
            self.api, self._poller, self.cameras = None, None, None

    async def _follow(self) -> None:
        secret = self.client_secret()
        if self.receiver is not None:
            self.receiver.client_secret = secret
        tokens = self._file.load()
        if tokens is None:
            raise AuthenticationError("not logged in")
        async with self._http() as http, self._camera_http() as camera_http:
            grants = Grants(self._oauth(http, secret), self._file, tokens, self._token_turn)
            api = self.api = Api(http, self._config.url, grants, rng=self._rng)
            self.cameras = Cameras(camera_http)
            poller = self._poller = Poller(
                self._config, api, self.mirror, self.ears, self._keeper, read=self._read, fine=self._fine,
                trouble=self._trouble, rng=self._rng,
            )  # fmt: skip
            async with trio.open_nursery() as nursery:
                nursery.start_soon(grants.keep_fresh)
                nursery.start_soon(self._keeper.run, api)
                for binding in self._bindings:
                    if binding.output is not None:
                        nursery.start_soon(binding.output.run)
                await poller.run()

    def _park(self, error: BaseException) -> None:
        """Nothing but a person can mend it. Raises: what it was, and what to do."""
        if isinstance(error, AuthenticationError):
            again = GrantRefused if isinstance(error, GrantRefused) else AuthenticationError
            error = again(f"{error}: run `portero netatmo login {self.name}`")
        for binding in self._bindings:
            binding.show(str(error))
        self.mirror.stale = True
        self._board.state("parked", str(error))
        raise error

    async def _listen(self) -> None:
        """Take in what the webhook's receiver was given, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._reports.run)
            nursery.start_soon(self._end_calls)
            while True:
                self.ears.hear(await self.mailbox.take())
                if self._poller is not None and self.mirror.topology_wanted:
                    self._poller.soon()
                self._count()

    async def _end_calls(self) -> None:
        while True:
            self.ears.call_changed = trio.Event()
            at = self.ears.end_overdue()
            with trio.move_on_at(float("inf") if at is None else at):
                await self.ears.call_changed.wait()

    # ----- what a person asks -----

    async def begin_login(self) -> Login:
        """Begin a log-in, in place of one that is under way. Raises: CommandError."""
        if self._nursery is None:
            raise CommandError("the worker is only just starting: try again")
        if self._login is not None:
            self._login.finish("another log-in was begun")
            await trio.sleep(0.6)  # for its port to be free again
        self.client_secret_or_refuse()
        self._login = await self._nursery.start(
            serve_callback,
            lambda port: Login(self._config, port),
            self._came_back,
            self._config.callback_port,
        )
        return self._login

    def pending_login(self) -> Login:
        """The log-in that was begun last. Raises: CommandError."""
        if self._login is None:
            raise CommandError(f"no log-in of {self.name} was begun: run `portero netatmo login {self.name}`")
        return self._login

    async def finish_login(self, login: Login, text: str) -> Tokens:
        """Complete a log-in with what the browser brought back. Raises: CommandError."""
        return await self._exchange(code=login.code_of(text), login=login)

    async def take_code(self, login: Login, code: str) -> Tokens:
        """Complete it with a bare code; its state has been checked. Raises: CommandError."""
        return await self._exchange(code=code, login=login)

    async def take_refresh_token(self, refresh_token: str) -> Tokens:
        """Log in with a refresh token that the vendor's developer page made. Raises: CommandError."""
        return await self._exchange(refresh_token=refresh_token)

    def client_secret_or_refuse(self) -> str:
        """The client secret. Raises: CommandError."""
        try:
            return self.client_secret()
        except ConfigError as error:
            raise CommandError(str(error)) from error

    def status(self) -> dict[str, Any]:
        """Its row of `portero netatmo status`."""
        self._count()
        grants = self.api.grants if self.api is not None else None
        last = self.ears.last_push_at
        return self._board.plain() | {
            "token_expires_s": round(grants.expires_s) if grants is not None else None,
            "scope": list(grants.scope) if grants is not None else [],
            "last_push_s": round(trio.current_time() - last) if last is not None else None,
            "clock_offset_s": round(self.ears.clock_offset_s),
            "modules": module_rows(self.mirror),
            "persons": person_rows(self.mirror),
        }

    def require_api(self) -> Api:
        """The account's API. Raises: CommandError."""
        if self.api is None or not self.mirror.home_id:
            raise CommandError(
                f"{self.name} is not followed now: {self._board.row.problem or 'just starting'}"
            )
        return self.api

    async def _came_back(self, login: Login, query: str) -> None:
        try:
            code = login.code_of(query)
        except CommandError as error:
            if "error=" in query and login.state in query:
                login.finish(str(error))
            raise
        try:
            await self._exchange(code=code, login=login)
        except CommandError as error:
            login.finish(str(error))
            raise

    async def _exchange(
        self, *, code: str = "", refresh_token: str = "", login: Login | None = None
    ) -> Tokens:
        secret = self.client_secret_or_refuse()
        try:
            async with self._http() as http:
                answer = await tokens_for(
                    self._oauth(http, secret), code=code, refresh_token=refresh_token, login=login,
                    scopes=self._config.scopes,
                )  # fmt: skip
                tokens = await self._keep(answer)
        except ConfigError as error:
            raise CommandError(str(error)) from error
        if login is not None:
            login.finish()
        return tokens

    async def _keep(self, answer: TokenAnswer) -> Tokens:
        """Put the tokens of a log-in on disk, and follow with them."""
        tokens = tokens_from(answer)
        with trio.CancelScope(shield=True):
            async with self._token_turn:
                if self.api is not None:
                    self.api.grants.retired = True
                try:
                    await self._file.store(tokens)
                except OSError as error:
                    raise CommandError(f"the tokens cannot be kept: {error.strerror or error}") from error
        logger.info("cloud=%s logged in scopes=%d", self.name, len(tokens.scope))
        self._following.cancel()
        return tokens

    # ----- how it goes -----

    def _read(self) -> None:
        for binding in self._bindings:
            if self.mirror.stale:
                binding.show(STALE)
            else:
                binding.bind()
        self._board.show(
            home=self.mirror.home_name or self.mirror.home_id,
            modules=len(self.mirror),
            stale=self.mirror.stale,
        )

    def _fine(self) -> None:
        if self._board.row.state != "following":
            logger.info("cloud=%s state=following", self.name)
        self._board.state("following")
        self._count()

    def _trouble(self, reason: str) -> None:
        if self._board.row.state != "retrying":
            logger.info("cloud=%s state=retrying reason=%s", self.name, reason)
        self._board.state("retrying", reason)
        self._count()

    def _show_webhook(self, state: Webhook, problem: str) -> None:
        if state != self._board.row.webhook:
            logger.info("cloud=%s webhook=%s%s", self.name, state, f" reason={problem}" if problem else "")
        self._board.show(webhook=state, webhook_problem=problem)
        if state in ("silent", "refused"):
            self._soon()

    def _count(self) -> None:
        ears, receiver = self.ears, self.receiver
        self._board.show(
            pushes=ears.pushes, rings=ears.rings, malformed=ears.malformed, foreign=ears.foreign,
            reported=self._reports.reported, dropped=self._reports.dropped + self.mailbox.dropped,
            refused=receiver.refused if receiver is not None else 0,
            usage_limits=self.api.usage_limits if self.api is not None else self._board.row.usage_limits,
        )  # fmt: skip

    def _soon(self) -> None:
        if self._poller is not None:
            self._poller.soon()

    # ----- connections -----

    def _oauth(self, http: HttpClient, secret: str) -> OAuth:
        return OAuth(http, self._config.url, client_id=self._config.client_id, client_secret=secret)

    def _http(self) -> HttpClient:
        return HttpClient(
            timeout_s=CALL_S,
            connect_timeout_s=CONNECT_S,
            max_body_bytes=MAX_BODY_BYTES,
            ssl_context=self._trust(),
            max_connections=MAX_CONNECTIONS,
        )

    def _camera_http(self) -> HttpClient:
        return HttpClient(timeout_s=CONNECT_S, connect_timeout_s=CONNECT_S, max_body_bytes=16_384)

    def _trust(self) -> ssl.SSLContext | None:
        """How its certificate is checked; None: by the system's authorities. Raises: ConfigError."""
        config = self._config
        if config.ca_file is None and config.fingerprint is None:
            return None
        pinned = None if config.fingerprint is None else bytes.fromhex(plain_fingerprint(config.fingerprint))
        return client_context(ca_file=config.ca_file, fingerprint=pinned, where=self._where)


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def follow_all(
    clouds: Sequence[CloudConfig], context: Context, *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:  # fmt: skip
    """Follow all clouds, for ever."""
    # Here, because it imports this module.
    from agent.workers.netatmo.client_clouds import Clouds

    await Clouds(clouds, context).run(task_status=task_status)
