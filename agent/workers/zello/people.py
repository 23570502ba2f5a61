"""Somebody writes to the door: is it a command, may they, and what is the answer."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque

import trio

from agent.model.errors import TryLater
from agent.model.principals import Principal
from agent.runtime import Context
from agent.workers.zello.config import CommandsConfig
from agent.workers.zello.translate import PIN_COMMANDS, TextCommand, action_for, parse_command, words_of

MOST_COMMANDS = 10
WITHIN_S = 60.0
MAX_ACCOUNTS = 256

NOT_KNOWN = "I cannot do that for you."
NO_PIN = "That needs your PIN behind the word."
WRONG_PIN = "That PIN is not right."
TOO_MANY = "Too many commands. Wait a minute."
TRY_LATER = "Try again in a moment."
NOT_HERE = "This door has nothing like that."

logger = logging.getLogger(__name__)

# Of one run of the agent: the server and every connection elsewhere count together.
_recent: trio.lowlevel.RunVar[OrderedDict[tuple[str, str], deque[float]]] = trio.lowlevel.RunVar("commands")


async def obey(
    text: str,
    *,
    who: Principal | None,
    account: str,
    peer: str,
    context: Context,
    config: CommandsConfig,
) -> str | None:
    """The answer to a text that is a command, never empty; None for a text that is none.

    A text that is a command may hold a PIN: it must not be shown to others or logged, whatever is answered.
    who: who wrote it, as far as this worker could prove; None for somebody whom the door does not know.
    account: whose PIN is asked for, and whose commands are counted; for a stranger the name on the channel.
    At most ten commands a minute per account, and of all strangers together.
    Cancellation: what was submitted may still be done.
    """
    await trio.lowlevel.checkpoint()
    command = parse_command(text, config.words) if config.enabled else None
    if command is None:
        return None
    if not _within_limit(context.name, "" if who is None else account, trio.current_time()):
        return TOO_MANY
    if who is None:
        logger.info("command refused name=%s from=%r reason=unknown", command.name, account[:64])
        return NOT_KNOWN
    action = action_for(command, context.endpoints, config)
    if action is None:
        return NOT_HERE
    if command.name in PIN_COMMANDS and who.role in config.pin:
        proven = await _by_pin(command, who, account, peer, context)
        if isinstance(proven, str):
            return proven
        who = proven
    outcome = await context.submit(action, who)
    logger.info("command name=%s by=%r outcome=%s", command.name, who.name, type(outcome).__name__)
    return words_of(command, outcome)


async def _by_pin(
    command: TextCommand, who: Principal, account: str, peer: str, context: Context
) -> Principal | str:
    """Who it is by their PIN, or why not."""
    if not command.pin:
        return NO_PIN
    try:
        proven = await context.authenticator.authenticate_pin(
            account=account, pin=command.pin, via=context.name, peer=peer
        )
    except TryLater:
        return TRY_LATER
    # A PIN proves its own account: never somebody else than whoever wrote.
    if proven is None or proven.name != who.name:
        return WRONG_PIN
    return proven


def _within_limit(worker: str, account: str, now: float) -> bool:
    try:
        recent = _recent.get()
    except LookupError:
        recent = OrderedDict()
        _recent.set(recent)
    times = recent.setdefault((worker, account), deque())
    recent.move_to_end((worker, account))
    if len(recent) > MAX_ACCOUNTS:
        recent.popitem(last=False)
    while times and now - times[0] >= WITHIN_S:
        times.popleft()
    if len(times) >= MOST_COMMANDS:
        return False
    times.append(now)
    return True
