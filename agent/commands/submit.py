"""Asking the running agent for an action, and telling how it went."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from agent.commands.exits import BUSY, HARDWARE, PROBLEM, Failure
from agent.commands.output import print_json, print_line
from agent.commands.state import connect

if TYPE_CHECKING:
    from agent.control_client import ControlClient

F = TypeVar("F", bound=Callable[..., Any])
DURATION_S = click.FloatRange(min=0, min_open=True, max=86_400)


def endpoint_argument(*kinds: str, many: bool = False, required: bool = False) -> Callable[[F], F]:
    """ENDPOINT, completed by asking the agent; of these kinds, of any when none is given."""

    def complete(
        context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        try:
            with context.scope(cleanup=False), connect() as agent:
                found = endpoints(agent, *kinds)
        except (click.ClickException, OSError):
            return []
        except _agent_error():
            return []
        return [
            CompletionItem(endpoint["name"], help=endpoint.get("label"))
            for endpoint in found
            if endpoint["name"].startswith(incomplete)
        ]

    name = "endpoints" if many else "endpoint"
    metavar = "ENDPOINT" if required else "[ENDPOINT]..." if many else "[ENDPOINT]"
    return click.argument(
        name, required=required, nargs=-1 if many else 1, metavar=metavar, shell_complete=complete
    )


def _agent_error() -> type[Exception]:
    from agent.model.errors import AgentError

    return AgentError


def endpoints(agent: ControlClient, *kinds: str) -> list[dict[str, Any]]:
    """The door's endpoints of these kinds, of all when none is given."""
    found = agent.ask("status").get("endpoints", [])
    return [endpoint for endpoint in found if not kinds or endpoint.get("kind") in kinds]


def the_endpoint(agent: ControlClient, name: str | None, kind: str) -> str:
    """The named endpoint, or the only one of its kind. Raises: Failure, click.UsageError."""
    if name is not None:
        return name
    found = [endpoint["name"] for endpoint in endpoints(agent, kind)]
    if not found:
        raise Failure(f"this door has no {kind}", todo="`portero status` lists what it has.")
    if len(found) > 1:
        raise click.UsageError(f"this door has several: name one of {', '.join(found)}.")
    return str(found[0])


def submit(agent: ControlClient, action: dict[str, Any], done: str, *, as_json: bool) -> None:
    """Ask for an action; prints its outcome and exits with its code when it was not done."""
    action = {key: value for key, value in action.items() if value is not None}
    outcome = agent.ask("submit", action=action)
    kind = outcome.get("outcome")
    reason = outcome.get("reason", "")
    if as_json:
        print_json(outcome)
    elif kind == "done":
        print_line(done)
    context = click.get_current_context()
    match kind:
        case "done":
            return
        case "refused" if not as_json:
            raise Failure(f"refused: {reason}", todo=_suggestion(agent, action))
        case "busy" if not as_json:
            raise Failure(
                "busy: another action has not finished", code=BUSY, todo="Try again in a few seconds."
            )
        case "failed" if not as_json:
            raise Failure(
                f"failed: {reason}", code=HARDWARE, todo="`portero status` and `portero doctor` tell more."
            )
        case _:
            context.exit({"busy": BUSY, "failed": HARDWARE}.get(str(kind), PROBLEM))


def _suggestion(agent: ControlClient, action: dict[str, Any]) -> str:
    """`Did you mean …?` when the action names an endpoint that this door does not have."""
    import difflib

    names = [endpoint["name"] for endpoint in endpoints(agent)]
    for name in [action.get("endpoint"), *action.get("endpoints", ())]:
        if name is not None and name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            return f"Did you mean {near[0]}?" if near else f"This door has: {', '.join(names)}."
    return ""
