from __future__ import annotations

import pytest

from agent.workers.zello.errors import REACTIONS, CloseCode, ErrorCode, Reaction, reaction_to

DOCUMENTED = [
    ("unknown command", Reaction.LOG),
    ("internal server error", Reaction.RETRY),
    ("invalid json", Reaction.LOG),
    ("invalid request", Reaction.SIMPLER),
    ("not authorized", Reaction.REAUTHENTICATE),
    ("not logged in", Reaction.RECONNECT),
    ("not enough params", Reaction.LOG),
    ("server closed connection", Reaction.RECONNECT_AFRESH),
    ("channel is not ready", Reaction.WAIT_ONLINE),
    ("listen only connection", Reaction.LISTEN_ONLY),
    ("failed to start stream", Reaction.RETRY_LATER),
    ("failed to stop stream", Reaction.IGNORE),
    ("failed to send data", Reaction.END_MESSAGE),
    ("invalid audio packet", Reaction.END_MESSAGE),
    ("channels limit exceeded", Reaction.PARK),
]
# Reported by people who met them.
REPORTED = [
    ("channel busy", Reaction.PAUSE),
    ("no phone", Reaction.PARK),
    ("woodpecker prohibited", Reaction.PAUSE),
    ("empty message", Reaction.IGNORE),
    ("invalid stream id", Reaction.END_MESSAGE),
    ("kicked", Reaction.RECONNECT),
    ("unable to verify", Reaction.PARK),
    ("invalid password", Reaction.PARK),
    ("suspended", Reaction.PARK),
    ("busy", Reaction.PAUSE),
    ("taken", Reaction.IGNORE),
]
OURS = [("channel not found", Reaction.PARK)]


@pytest.mark.parametrize(("error", "reaction"), DOCUMENTED + REPORTED + OURS)
def test_what_to_do(error: str, reaction: Reaction) -> None:
    assert reaction_to(error) is reaction
    assert reaction_to(f" {error.upper()} ") is reaction


def test_no_other_error_is_known() -> None:
    assert {str(code) for code in ErrorCode} == {error for error, _ in DOCUMENTED + REPORTED + OURS}
    assert set(REACTIONS) == set(ErrorCode)


@pytest.mark.parametrize("error", ["", "something new", "not  authorized"])
def test_what_nobody_has_documented_is_a_failure_of_this_message(error: str) -> None:
    assert reaction_to(error) is Reaction.RETRY_LATER


def test_close_codes() -> None:
    assert (CloseCode.UNABLE_TO_VERIFY, CloseCode.NOT_AUTHORIZED, CloseCode.KICKED, CloseCode.BANNED) == (
        3001, 3002, 3003, 3004,
    )  # fmt: skip
