"""A changed account ends what stands on it: open connections, and the push registrations of its phones."""

from __future__ import annotations

import logging

import trio

from agent.model.events import AccountChanged
from agent.workers.zmes.session import CLOSE_POLICY
from agent.workers.zmes.state import ServerState

# A connection does not remember whether it came with a password or with which key: all of them come again.
ENDING = frozenset({"removed", "disabled", "password", "key_revoked"})

logger = logging.getLogger(__name__)


def revoke(event: AccountChanged, state: ServerState, closing: trio.Nursery) -> None:
    """End every connection of the account if the change is one that takes something away.

    Nothing is told to them from here on; their CLOSE handshakes run in `closing`.
    """
    if event.change in ENDING:
        _end(event.account, event.change, state, closing)


def revoke_the_gone(state: ServerState, closing: trio.Nursery) -> None:
    """As `revoke`, for all who may no longer come in: after missed entries, which may have said so."""
    accounts = {session.account for session in state.sessions.values()} | state.tokens.accounts()
    for account in accounts - {""}:
        if not state.context.authenticator.admits(account):
            _end(account, "gone", state, closing)


def _end(account: str, change: str, state: ServerState, closing: trio.Nursery) -> None:
    state.tokens.forget_account(account)
    for session in list(state.sessions.values()):
        if session.account == account:
            address = session.peer.address
            logger.info("session ended account=%s change=%s peer=%s", account, change, address)
            session.end()
            closing.start_soon(session.peer.close, CLOSE_POLICY, "the account has changed")
