"""`portero events`: what happened, from the journal file, and on from there as it happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands.event_text import endpoint_of, sentence, type_of
from agent.commands.exits import PROBLEM, Failure
from agent.commands.moment import Moment
from agent.commands.output import json_option, local_time, print_json_line, printable
from agent.commands.state import JOURNAL_FILE, connect, state_dir, state_option

if TYPE_CHECKING:
    from agent.journal.query import Page, StoredEntry

SHOWN = 50
SHOWN_BEFORE_FOLLOWING = 10
MOST = 10_000

Item = dict[str, Any]


class _Choice:
    """Which events are wanted."""

    def __init__(self, types: tuple[str, ...], endpoint: str | None, access: bool) -> None:
        from agent.journal.query import ACCESS_TYPES

        self.types = types
        self.endpoint = endpoint
        self.access = access
        self._wanted = {name.partition("/")[0] for name in types}
        if access:
            self._wanted = self._wanted & ACCESS_TYPES if types else set(ACCESS_TYPES)
        self._all = not types and not access

    def fits(self, item: Item) -> bool:
        """True for a wanted item of the stream; a gap may have held anything, so it is always shown."""
        event = item.get("event")
        if event is None:
            return True
        if self.endpoint is not None and endpoint_of(event) != self.endpoint:
            return False
        return self._all or type_of(event) in self._wanted


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@click.option(
    "--since", "since_ns", type=Moment(), help="Begin there: 10m, 2h, 3d, today, 14:30, 2026-11-23T14:30."
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, MOST),
    metavar="N",
    help=f"At most N: the newest, with --since the first. Default {SHOWN}, {SHOWN_BEFORE_FOLLOWING} with "
    f"--follow, {MOST} with --since.",
)
@click.option(
    "--access", is_flag=True, help="Only who asked for what, what was done, and who was turned away."
)
@click.option(
    "--type", "types", multiple=True, metavar="T", help="Only this type, such as lock_changed; repeatable."
)
@click.option("--endpoint", metavar="E", help="Only of this endpoint.")
@json_option
@state_option
@click.pass_context
def events(
    context: click.Context,
    follow: bool,
    since_ns: int | None,
    limit: int | None,
    access: bool,
    types: tuple[str, ...],
    endpoint: str | None,
    as_json: bool,
) -> None:
    """Show what happened, from the journal or as it happens.

    The journal is read from its file, with or without a running agent. With --json one object per line.
    """
    from agent.model.errors import JournalError

    _check_types(types)
    choice = _Choice(types, endpoint, access)
    path = state_dir() / JOURNAL_FILE
    after: int | None = None
    if follow:
        # First the number, then the page: what comes in between is in both, and dropped from the page.
        agent = connect()
        try:
            after = _newest_seq(path)
            page = _page(path, choice, since_ns, limit or (MOST if since_ns else SHOWN_BEFORE_FOLLOWING))
        except JournalError as error:
            click.echo(f"portero: {error}; showing only what happens from now on", err=True)
            page = None
        with agent:
            if page is not None:
                _print_page(page, as_json, up_to=after)
            for item in agent.stream("events", after=after):
                if choice.fits(item):
                    _print(item, as_json)
    else:
        if not path.exists():
            raise Failure(
                f"{path}: there is no journal",
                todo="The first start of the door makes it. Is it in another directory? --state DIR",
            )
        page = _page(path, choice, since_ns, limit or (MOST if since_ns else SHOWN))
        _print_page(page, as_json)
        if page.damaged:
            context.exit(PROBLEM)


def _check_types(types: tuple[str, ...]) -> None:
    import difflib

    from agent.model.events import AnyEvent

    known = sorted(
        {str(kind.__struct_config__.tag).partition("/")[0] for kind in AnyEvent.__args__} | {"gap"}
    )
    for name in types:
        if name.partition("/")[0] not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
            raise click.UsageError(f"no event type {name[:40]!r}: {hint}")


def _page(path: Path, choice: _Choice, since_ns: int | None, limit: int) -> Page:
    from agent.journal import query

    if since_ns is None:
        return query.tail(
            path, limit, types=choice.types, endpoint=choice.endpoint, access_only=choice.access
        )
    return query.since(
        path,
        after_ns=since_ns - 1,
        types=choice.types,
        endpoint=choice.endpoint,
        access_only=choice.access,
        limit=limit,
    )


def _newest_seq(path: Path) -> int | None:
    from agent.journal import query
    from agent.model.records import Gap

    entry = query.newest(path)
    if entry is None:
        return None
    return entry.event.last if isinstance(entry.event, Gap) else entry.seq


def _print_page(page: Page, as_json: bool, up_to: int | None = None) -> None:
    for item in _items(page.entries):
        if up_to is None or item["seq"] <= up_to:
            _print(item, as_json)
    if page.malformed:
        click.echo(f"portero: {page.malformed} entries could not be understood and were left out", err=True)
    if page.damaged:
        click.echo("portero: the journal is damaged and could not be read to the end", err=True)


def _items(entries: tuple[StoredEntry, ...]) -> Iterator[Item]:
    from agent.model.records import Gap, Unknown, to_plain

    for entry in entries:
        item: Item = {"boot_id": entry.boot_id, "seq": entry.seq, "at_ns": entry.at_ns}
        match entry.event:
            case Gap(first=first, last=last):
                item["gap"] = {"first": first, "last": last}
            case Unknown(raw=raw):
                item["event"] = raw
            case event:
                item["event"] = to_plain(event)
        yield item


def _print(item: Item, as_json: bool) -> None:
    if as_json:
        print_json_line(item)
        return
    gap = item.get("gap")
    if gap is not None:
        click.echo(f"{'':19}  {'':12}  entries {gap['first']} to {gap['last']} are missing")
        return
    event = item["event"]
    where = printable(endpoint_of(event) or "-")
    click.echo(f"{local_time(item['at_ns'])}  {where:<12}  {printable(sentence(event))}")
