"""`portero netatmo`: tokens for programs to which the door is one of theirs, and the clouds it follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agent.commands.exits import Failure
from agent.commands.netatmo_picture import picture
from agent.commands.output import json_option, local_time, print_json, print_line, print_table
from agent.commands.state import connect, state_option

if TYPE_CHECKING:
    from agent.control_client import ControlClient

LOGIN_S = 600.0
ANSWER_S = 30.0


@click.group(short_help="Tokens for Netatmo clients, and Netatmo clouds.")
@state_option
def netatmo() -> None:
    """Tokens for Netatmo clients, and Netatmo clouds.

    To pyatmo and others the door is a BTicino Classe 300 EOS: `token` lets a program in. And the door follows
    the clouds of devices that the household has: `login` connects it.
    """


@netatmo.command()
@click.option("--scope", required=True, metavar="SCOPES", help='What it may do: "read_mx write_mx ...".')
@click.option("--name", metavar="NAME", help="What the token is for.")
@click.option("--client", metavar="ID", help="The configured client whose secret signs its webhooks.")
@json_option
@state_option
def token(scope: str, name: str | None, client: str | None, as_json: bool) -> None:
    """Make a token that lasts, and print only that.

    Scopes: read_mx and write_mx for door, light and calls, read_camera and write_camera for the siren.
    """
    with connect() as agent:
        answer = _ask(agent, "token", scope=scope, name=name, client=client)
    if as_json:
        print_json(answer)
    else:
        click.echo(answer["token"])


@netatmo.command()
@click.argument("client")
@click.option("--scope", required=True, metavar="SCOPES", help="What it may do.")
@click.option("--redirect-uri", metavar="URI", help="Where the client expects the code, as configured.")
@json_option
@state_option
def authorize(client: str, scope: str, redirect_uri: str | None, as_json: bool) -> None:
    """Make an authorisation code for CLIENT, a program of the configuration that speaks OAuth2."""
    with connect() as agent:
        answer = _ask(agent, "authorize", client_id=client, scope=scope, redirect_uri=redirect_uri)
    if as_json:
        print_json(answer)
    else:
        click.echo(answer["code"])


@netatmo.command()
@json_option
@state_option
def status(as_json: bool) -> None:
    """Show the door's own server, its tokens and webhooks, and the clouds that it follows."""
    from agent.control_client import CommandFailed

    answers: dict[str, Any] = {}
    refusal: CommandFailed | None = None
    with connect() as agent:
        for part in ("server", "cloud"):
            try:
                answers[part] = _ask(agent, f"{part}_status")
            except CommandFailed as failed:
                refusal = failed
    if refusal is not None and not answers:
        raise Failure(
            str(refusal),
            todo="Add [workers.netatmo.server] to let programs in,\n"
            "or [[workers.netatmo.cloud]] to follow a cloud.",
        )
    if as_json:
        print_json({"server": answers.get("server"), "clouds": answers.get("cloud", [])})
        return
    if "server" in answers:
        _print_server(answers["server"])
    for cloud in answers.get("cloud", []):
        _print_cloud(cloud)


@netatmo.command()
@click.argument("cloud", required=False)
@click.option("--refresh-token", metavar="TOKEN", help="One made at the vendor's developer page.")
@click.option("--code", metavar="ADDRESS", help="The whole address at which the browser ended.")
@json_option
@state_option
def login(cloud: str | None, refresh_token: str | None, code: str | None, as_json: bool) -> None:
    """Connect the door with CLOUD, by a browser on this machine or with something pasted.

    CLOUD is its name in the configuration, and may be left out when there is one.
    """
    with connect() as agent:
        if refresh_token or code:
            answer = _ask(agent, "login", cloud=cloud, refresh_token=refresh_token, code=code)
        else:
            begun = _ask(agent, "login", cloud=cloud)
            if not as_json:
                print_line("open this address in a browser on this machine, and agree:")
                click.echo(f"  {begun['url']}")
                print_line("on another machine: paste the address where it ends, with --code")
            answer = _ask(agent, "login", timeout_s=LOGIN_S, cloud=cloud, wait=True)
    if as_json:
        print_json(answer)
    else:
        print_line(f"{answer['cloud']}: logged in")


@netatmo.command("set")
@click.argument("module")
@click.option("--floodlight", type=click.Choice(["on", "off", "auto"]), help="Of an outdoor camera.")
@click.option("--monitoring", type=click.Choice(["on", "off"]), help="Of a camera or siren.")
@click.option("--cloud", metavar="CLOUD", help="Which, where there are several.")
@json_option
@state_option
def set_(
    module: str, floodlight: str | None, monitoring: str | None, cloud: str | None, as_json: bool
) -> None:
    """Switch the floodlight or the monitoring of MODULE, a device at a cloud, by its id or name."""
    if (floodlight is None) == (monitoring is None):
        raise click.UsageError("say one of --floodlight and --monitoring.")
    with connect() as agent:
        answer = _ask(
            agent, "cloud_set", cloud=cloud, module=module, floodlight=floodlight, monitoring=monitoring
        )
    print_json(answer) if as_json else print_line(f"{answer['module']}: the cloud has taken it on")


@netatmo.command()
@click.argument("presence", type=click.Choice(["home", "away"]))
@click.argument("persons", nargs=-1)
@click.option("--cloud", metavar="CLOUD", help="Which, where there are several.")
@json_option
@state_option
def persons(presence: str, persons: tuple[str, ...], cloud: str | None, as_json: bool) -> None:
    """Tell a cloud that PERSONS are home or away; without names and with `away`, that nobody is home."""
    with connect() as agent:
        answer = _ask(agent, "cloud_set", cloud=cloud, presence=presence, persons=list(persons))
    who = ", ".join(answer["persons"]) or "everybody"
    print_json(answer) if as_json else print_line(f"{who}: {presence}")


@netatmo.command()
@click.argument("module")
@click.option("--event", "video_id", metavar="VIDEO", help="Of this event, by its `video_id` in `events`.")
@click.option("--snapshot", is_flag=True, help="A picture as it is now, in place of moving ones.")
@click.option("--cloud", metavar="CLOUD", help="Which, where there are several.")
@json_option
@state_option
def video(module: str, video_id: str | None, snapshot: bool, cloud: str | None, as_json: bool) -> None:
    """Print an address at which a player finds what MODULE, a camera at a cloud, sees.

    Whoever has the address sees the picture, for up to three hours.
    """
    if video_id and snapshot:
        raise click.UsageError("say one of --event and --snapshot.")
    what = "event" if video_id else "snapshot" if snapshot else "live"
    with connect() as agent:
        answer = _ask(agent, "cloud_video", cloud=cloud, module=module, what=what, video=video_id)
    print_json(answer) if as_json else click.echo(answer["url"])


@netatmo.command()
@click.option("--device", "device_id", metavar="ID", help="Only of this gateway.")
@click.option("--module", "module_id", metavar="ID", help="Only of this module.")
@click.option("--person", "person_id", metavar="ID", help="Only of this person.")
@click.option("--before", "event_id", metavar="ID", help="Those that came before this event.")
@click.option("--cloud", metavar="CLOUD", help="Which, where there are several.")
@json_option
@state_option
def events(
    device_id: str | None, module_id: str | None, person_id: str | None, event_id: str | None,
    cloud: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Show what a cloud remembers: the last thirty events, the newest first."""
    with connect() as agent:
        rows = _ask(
            agent, "cloud_events", cloud=cloud, device_id=device_id, module_id=module_id,
            person_id=person_id, event_id=event_id,
        )  # fmt: skip
    if as_json:
        print_json(rows)
        return
    for row in rows:
        for one in (row, *row["parts"]):
            at = local_time(one["time"] * 10**9) if one["time"] else "-"
            who = " ".join(part for part in (one["person"], one["message"]) if part)
            video_id = f"  video {one['video_id']}" if one["video_id"] else ""
            print_line(f"{at}  {one['module']}: {one['meaning'] or one['type']}  {who}{video_id}".rstrip())
    if not rows:
        print_line("the cloud remembers nothing")


netatmo.add_command(picture)


def _ask(agent: ControlClient, verb: str, *, timeout_s: float = ANSWER_S, **arguments: Any) -> Any:
    """The worker's answer. Raises: CommandFailed, PeerError."""
    arguments = {name: value for name, value in arguments.items() if value is not None}
    return agent.ask("worker", timeout_s=timeout_s, worker="netatmo", verb=verb, **arguments)


def _print_server(server: dict[str, Any]) -> None:
    print_line(f"server  {server['url']}")
    print_line(f"home    {server['home_id']}")
    print_table(
        ["MODULE", "TYPE", "NAME", "ENDPOINT", "STATE"],
        [[row["id"], row["type"], row["name"], row["endpoint"] or "-", row["state"] or "-"]
         for row in server["modules"]],
    )  # fmt: skip
    print_table(
        ["TOKEN", "NAME", "CLIENT", "SCOPES", "MADE"],
        [
            [
                row["id"],
                row["name"],
                row["client"] or "-",
                " ".join(row["scopes"]),
                local_time(row["created_ns"]),
            ]
            for row in server["tokens"]
        ],
    )
    print_table(
        ["WEBHOOK TO", "STATE", "SENT", "FAILED", "DROPPED"],
        [[row["to"], row["state"], row["sent"], row["failed"], row["dropped"]] for row in server["webhooks"]],
    )


def _print_cloud(cloud: dict[str, Any]) -> None:
    problem = f" ({cloud['problem']})" if cloud.get("problem") else ""
    print_line(f"cloud   {cloud['name']}: {cloud['state']}{problem}")
    modules = cloud.get("modules") or []
    print_table(
        ["MODULE", "TYPE", "NAME", "REACHABLE"],
        [[row.get("id"), row.get("type"), row.get("name"), row.get("reachable")] for row in modules],
    )
