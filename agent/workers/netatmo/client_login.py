"""A person lets the door in: the page of consent, the way back to this machine, and a code for tokens."""

from __future__ import annotations

import hmac
import html
import logging
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import h11
import trio

from agent.model.errors import AgentError, AuthenticationError, CommandError, PeerError
from agent.workers.netatmo.client_oauth import OAuth, consent_url
from agent.workers.netatmo.config import CloudConfig
from agent.workers.netatmo.wire import TokenAnswer

OPEN_S = 600.0
CONNECTION_S = 5.0
MAX_HEAD_BYTES = 16_384
MAX_CONNECTIONS = 8

logger = logging.getLogger(__name__)


class Login:
    """One log-in under way. url: the page for the person; state: which only that page brings back.

    redirect_uri: of the callback of this machine. failure: why it came to nothing; empty: not, or not yet.
    """

    def __init__(self, config: CloudConfig, port: int) -> None:
        self.state = secrets.token_urlsafe(24)
        self.redirect_uri = f"http://127.0.0.1:{port}/"
        self.url = consent_url(
            config.url, client_id=config.client_id, redirect_uri=self.redirect_uri, scopes=config.scopes,
            state=self.state,
        )  # fmt: skip
        self.failure = ""
        self.done = trio.Event()

    def finish(self, failure: str = "") -> None:
        """It is over, one way or the other."""
        self.failure = failure
        self.done.set()

    def code_of(self, text: str) -> str:
        """The code in what a person or a browser brings back: the whole address, or its query.

        Raises: CommandError when it is not the answer to this log-in, or says that consent was refused.
        """
        query = parse_qs(urlsplit(text).query or text.partition("?")[2] or text, max_num_fields=20)
        state, code, error = (query.get(name, [""])[0] for name in ("state", "code", "error"))
        if not hmac.compare_digest(state.encode(), self.state.encode()):
            raise CommandError("this is not the answer to the log-in that was begun last: begin anew")
        if error:
            raise CommandError(f"the cloud says {error[:64]}: consent was not given")
        if not code:
            raise CommandError("there is no code in it: paste the whole address that the browser ended at")
        return code


async def serve_callback(
    login_at: Callable[[int], Login], take: Callable[[Login, str], Awaitable[None]], port: int, *,
    task_status: trio.TaskStatus[Login],
) -> None:  # fmt: skip
    """Listen on loopback until the log-in is over, ten minutes at most.

    login_at: makes the log-in for the port that was bound. take: is given the query of the browser.
    Raises: CommandError when the port cannot be bound.
    """
    try:
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    except OSError as error:
        raise CommandError(
            f"port {port} of this machine cannot be used: {error.strerror or error}"
        ) from error
    login = login_at(listeners[0].socket.getsockname()[1])
    limit = trio.CapacityLimiter(MAX_CONNECTIONS)

    async def answer(stream: trio.SocketStream) -> None:
        try:
            with trio.move_on_after(CONNECTION_S + 25.0):
                async with limit:
                    await _answer(stream, login, take)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.serve_listeners(answer, listeners, task_status=task_status)  # type: ignore[arg-type]

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        task_status.started(login)
        with trio.move_on_after(OPEN_S):
            await login.done.wait()
            await trio.sleep(0.5)  # the browser reads its page
        if not login.done.is_set():
            login.finish("nobody came back from the page of consent within ten minutes")
        nursery.cancel_scope.cancel()


async def _answer(
    stream: trio.SocketStream, login: Login, take: Callable[[Login, str], Awaitable[None]]
) -> None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    target = ""
    with trio.move_on_after(CONNECTION_S):
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(4096))
            elif isinstance(event, h11.Request):
                target = event.target.decode("ascii", "replace") if event.method == b"GET" else ""
                break
            else:
                return
    parts = urlsplit(target)
    if parts.path != "/" or not parts.query:
        await _page(stream, connection, 404, "There is nothing here.")
        return
    try:
        await take(login, parts.query)
    except CommandError as error:
        await _page(stream, connection, 400, f"This did not work: {error}.")
        return
    await _page(stream, connection, 200, "The door is logged in. You may close this page.")


async def _page(stream: trio.SocketStream, connection: h11.Connection, status: int, text: str) -> None:
    body = f"<!doctype html><title>Portero</title><p>{html.escape(text)}</p>\n".encode()
    head = h11.Response(
        status_code=status,
        headers=[
            ("content-type", "text/html; charset=utf-8"),
            ("content-length", str(len(body))),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("connection", "close"),
        ],
    )
    data = connection.send(head) or b""
    data += connection.send(h11.Data(data=body)) or b""
    data += connection.send(h11.EndOfMessage()) or b""
    await stream.send_all(data)


async def tokens_for(oauth: OAuth, *, code: str = "", refresh_token: str = "", login: Login | None = None,
                     scopes: tuple[str, ...] = ()) -> TokenAnswer:  # fmt: skip
    """Tokens for a code or a refresh token of a person. Raises: CommandError, which says what to do."""
    try:
        if refresh_token:
            return await oauth.refresh(refresh_token)
        assert login is not None
        return await oauth.exchange(code, login.redirect_uri, scopes)
    except AuthenticationError as error:
        what = "the refresh token" if refresh_token else "the code: codes are good once, for a few minutes"
        raise CommandError(f"{error}: the cloud does not take {what}") from error
    except PeerError as error:
        raise CommandError(f"{error}: try again") from error
    except AgentError as error:
        raise CommandError(str(error)) from error
