"""`portero deconz`: let smart homes in, and get to know the gateways that the door follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agent.commands.exits import Failure
from agent.commands.output import duration, json_option, print_json, print_line, print_table
from agent.commands.state import connect, state_option

if TYPE_CHECKING:
    from agent.control_client import ControlClient

PAIR_S = 60
ANSWER_SLACK_S = 15.0
_MINUTES = click.IntRange(5, 600)


@click.group(short_help="Let smart homes in, and pair with a gateway.")
@state_option
def deconz() -> None:
    """Let smart homes in, and pair with a gateway.

    To Home Assistant and other deCONZ clients the door is a gateway of its own: `link` lets one in. And the
    door follows gateways of the household: `pair` asks one for a key.
    """


@deconz.command()
@json_option
@state_option
def status(as_json: bool) -> None:
    """Show the door's own server, its keys, and the gateways that it follows."""
    with connect() as agent:
        server, gateways = _both(agent, "status")
    if as_json:
        print_json({"server": server, "gateways": gateways})
        return
    if server is not None:
        _print_server(server)
    if gateways:
        print_table(
            ["GATEWAY", "STATE", "ADDRESS", "VERSION", "LIGHTS", "SENSORS", "PROBLEM"],
            [
                [
                    row["name"],
                    row["state"],
                    row["url"] or "-",
                    row["version"] or "-",
                    row["lights"],
                    row["sensors"],
                    row["problem"] or "-",
                ]
                for row in gateways
            ],
        )


@deconz.command()
@json_option
@state_option
def devices(as_json: bool) -> None:
    """List what the door shows to smart homes, and what its gateways show to it."""
    with connect() as agent:
        server, gateways = _both(agent, "devices")
    if as_json:
        print_json({"server": server or [], "gateways": gateways})
        return
    rows = [["this door", *_device(row)] for row in server or []]
    rows += [[row.get("gateway", "-"), *_device(row)] for row in gateways or []]
    if not rows:
        print_line("no devices; `portero deconz status` tells whether a gateway is connected")
        return
    print_table(["WHERE", "RESOURCE", "UNIQUE ID", "NAME", "TYPE", "STATE", "ENDPOINT"], rows)


@deconz.command()
@click.option("--key", "as_key", is_flag=True, help="Make an API key at once, and print only that.")
@click.option("--name", metavar="NAME", help="What the key is for, with --key.")
@json_option
@state_option
def link(as_key: bool, name: str | None, as_json: bool) -> None:
    """Let a smart home in: for a minute, whoever asks for a key gets one.

    Open it, then start the integration there. `portero api-key list` shows the keys, `portero api-key revoke`
    ends one.
    """
    if name is not None and not as_key:
        raise click.UsageError("--name goes with --key.")
    with connect() as agent:
        if as_key:
            answer = _ask(agent, "link_key", name=name)
            print_json(answer) if as_json else click.echo(answer["key"])
            return
        answer = _ask(agent, "link")
    if as_json:
        print_json(answer)
        return
    print_line(f"open for {duration(answer['seconds'])}: start the deCONZ integration of your smart home now")
    if answer.get("url"):
        print_line(f"  address  {answer['url']}")


@deconz.command()
@click.argument("gateway", required=False)
@click.option(
    "--wait", "wait_s", type=_MINUTES, default=PAIR_S, show_default=True, metavar="S",
    help="Seconds to wait for the link button.",
)  # fmt: skip
@json_option
@state_option
def pair(gateway: str | None, wait_s: int, as_json: bool) -> None:
    """Ask GATEWAY for an API key, and keep it.

    Press its link button meanwhile: in Phoscon, Settings, Gateway, Advanced, Authenticate app. GATEWAY is its
    name in the configuration, and may be left out when there is one.
    """
    if not as_json:
        print_line(f"waiting for the link button of the gateway, {duration(wait_s)} at most")
    with connect() as agent:
        answer = _ask(agent, "pair", timeout_s=wait_s + ANSWER_SLACK_S, gateway=gateway, wait_s=wait_s)
    if as_json:
        print_json(answer)
        return
    print_line(f"{answer['gateway']}: paired with {answer['name']} ({answer['bridgeid']})")


def _ask(agent: ControlClient, verb: str, *, timeout_s: float = 10.0, **arguments: Any) -> Any:
    """The worker's answer. Raises: CommandFailed, PeerError."""
    arguments = {name: value for name, value in arguments.items() if value is not None}
    return agent.ask("worker", timeout_s=timeout_s, worker="deconz", verb=verb, **arguments)


def _both(agent: ControlClient, what: str) -> tuple[Any, list[dict[str, Any]]]:
    """What the server and the gateways answer; None and [] for what this door has not. Raises: Failure."""
    from agent.control_client import CommandFailed

    answers: list[Any] = []
    refusals = []
    for part in ("server", "gateway"):
        try:
            answers.append(_ask(agent, f"{part}_{what}"))
        except CommandFailed as refusal:
            answers.append(None)
            refusals.append(refusal)
    if len(refusals) == len(answers):
        raise Failure(
            str(refusals[0]),
            todo="Add [workers.deconz.server] to let smart homes in,\n"
            "or [[workers.deconz.gateway]] to follow a gateway.",
        )
    return answers[0], answers[1] or []


def _print_server(server: dict[str, Any]) -> None:
    print_line(f"server     {server['url']}, websocket {server['ws_url']}")
    print_line(f"bridge id  {server['bridgeid']}")
    print_line(f"clients    {server['clients']}")
    left = server["link_s_left"]
    print_line(
        f"link       {f'open for {duration(left)}' if left else 'closed; `portero deconz link` opens it'}"
    )
    for key in server["keys"]:
        print_line(f"key        {key['id']}  {key['name']}")


def _device(row: dict[str, Any]) -> list[object]:
    return [
        f"{row['resource']}/{row['id']}",
        row["uniqueid"] or "-",
        row["name"],
        row["type"],
        row["state"] or "-",
        row["endpoint"] or "-",
    ]
