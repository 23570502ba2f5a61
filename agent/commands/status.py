"""`portero status`: how the door is, as the running agent sees it."""

from __future__ import annotations

from typing import Any

import click

from agent.commands.exits import PROBLEM
from agent.commands.output import duration, json_option, print_json, print_line, print_table
from agent.commands.state import connect, state_option


@click.command()
@json_option
@state_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Show endpoints, calls, protocols and problems.

    Exits with 1 when the agent knows of a problem.
    """
    with connect() as agent:
        answer = agent.ask("status")
    if as_json:
        print_json(answer)
    else:
        _print_head(answer)
        _print_endpoints(answer.get("endpoints", []))
        _print_readers(answer.get("readers"))
        _print_io(answer.get("io"))
        _print_voice(answer.get("voice"))
        _print_workers(answer)
        _print_end(answer)
    if answer.get("problems"):
        context.exit(PROBLEM)


def _print_head(answer: dict[str, Any]) -> None:
    simulated = ", simulated" if answer.get("simulated") else ""
    print_line(
        f"{answer.get('door')}: portero {answer.get('version')}{simulated}, up "
        f"{duration(answer.get('uptime_s', 0))}, start number {answer.get('boot_number')}, "
        f"process {answer.get('pid')}"
    )
    journal = answer.get("journal", {})
    size_mb = journal.get("size_bytes", 0) / 1e6
    health = "ok" if journal.get("ok") else f"NOT OK: {journal.get('problem') or 'unknown'}"
    print_line(
        f"journal: {health}, {journal.get('rows', 0)} entries, {size_mb:.1f} MB, "
        f"last stored {journal.get('last_committed')}, waiting {journal.get('pending')}"
    )
    for call in answer.get("calls", []):
        print_line(f"call {call.get('call_id')}: {call.get('state')} at {call.get('endpoint')}")
    if alarm := answer.get("alarm"):
        print_line(f"alarm system: {_alarm_text(alarm)}")
    click.echo()


def _alarm_text(alarm: dict[str, Any]) -> str:
    state = str(alarm.get("state", "")).replace("_", " ")
    if state == "disarmed":
        return state
    left = f", {alarm['seconds_left']} s left" if alarm.get("seconds_left") else ""
    return f"{state.upper() if state == 'in alarm' else state} ({alarm.get('mode')}){left}"


def _print_endpoints(endpoints: list[dict[str, Any]]) -> None:
    rows = []
    for endpoint in endpoints:
        extra = " ".join(f"{key}={value}" for key, value in endpoint.get("extra", {}).items() if value)
        kind = endpoint.get("kind", "")
        role = endpoint.get("role")
        rows.append(
            (
                endpoint.get("name", ""),
                endpoint.get("label", ""),
                f"{kind} ({role})" if role and role != kind else kind,
                f"{endpoint.get('state', '')} {extra}".strip(),
                endpoint.get("notify", ""),
                endpoint.get("problem") or "",
            )
        )
    print_table(("ENDPOINT", "LABEL", "KIND", "STATE", "NOTIFY", "PROBLEM"), rows)


def _print_readers(readers: list[dict[str, Any]] | None) -> None:
    if not readers:
        return
    click.echo()
    print_table(
        ("READER", "KIND", "OPENS", "READS", "NOISE", "PROBLEM"),
        [
            (row["name"], row["kind"], row["opens"], row["reads"], row["noise"], row["problem"])
            for row in readers
        ],
    )


def _print_io(devices: list[dict[str, Any]] | None) -> None:
    if not devices:
        return
    click.echo()
    print_table(
        ("IO", "DEVICE", "FIRMWARE", "NOISE", "PROBLEM"),
        [
            (row["name"], row["device"] or "-", row["firmware"] or "-", row["noise"], row["problem"])
            for row in devices
        ],
    )


def _print_voice(voice: dict[str, Any] | None) -> None:
    if not voice:
        return
    click.echo()
    halves = {name: voice.get(name) or {} for name in ("microphone", "speaker")}
    rows = [
        (name, half.get("device", ""), half.get("state", ""), half.get("xruns", 0), half.get("problem", ""))
        for name, half in halves.items()
    ]
    print_table(("SOUND", "DEVICE", "STATE", "XRUNS", "PROBLEM"), rows)
    if voice.get("talk"):
        print_line(f"{voice['talk']} speaks at the door")
    if sent := voice.get("transmission"):
        print_line(f"the microphone is heard ({sent.get('reason')}, call {sent.get('call_id')})")
    if last := voice.get("playout"):
        jitter, depth, late = (last.get(key, 0.0) for key in ("jitter_ms", "depth_ms", "end_to_end_ms"))
        print_line(
            f"last talk: jitter {jitter:.1f} ms, buffer {depth:.0f} ms, delay {late:.0f} ms, "
            f"concealed {last.get('concealed_pct', 0.0):.1f} %"
        )


def _print_workers(answer: dict[str, Any]) -> None:
    workers = answer.get("workers", {})
    if workers:
        click.echo()
        rows = []
        for name, worker in workers.items():
            page = ", ".join(f"{key}={value}" for key, value in worker.get("page", {}).items())
            rows.append((name, worker.get("state", ""), worker.get("reason", ""), page))
        print_table(("PROTOCOL", "STATE", "REASON", "VALUES"), rows)
    listeners = answer.get("ready", {}).get("listeners", {})
    if listeners:
        click.echo()
        print_table(("LISTENS AS", "ADDRESS"), list(listeners.items()))


def _print_end(answer: dict[str, Any]) -> None:
    problems = answer.get("problems", [])
    if problems:
        click.echo()
    for problem in problems:
        print_line(f"problem: {problem}")
