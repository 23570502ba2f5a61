"""Files of keys: fetched from where they may be, and handed to the door whole. One at a time, the newest."""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import urlsplit

import trio

from agent.model.errors import AgentError, PeerError
from agent.net.http_client import HttpClient
from agent.runtime import KeyFiles
from agent.workers.vms.api import Api
from agent.workers.vms.config import VmsConfig
from agent.workers.vms.wire import FileReady

MAX_FILE_BYTES = 8 * 1024 * 1024
FETCH_S = 60.0
RETRY_S = (5.0, 30.0, 120.0)
KINDS = (
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "application/octet-stream",
    "application/zip", "binary/octet-stream", "text/csv", "text/plain", "application/vnd.ms-excel", "",
)  # fmt: skip

logger = logging.getLogger(__name__)


class KeySync:
    """A file that cannot be had or makes no sense leaves the keys as they are. show: tells how it went."""

    def __init__(
        self, config: VmsConfig, http: HttpClient, api: Api, key_files: KeyFiles, *,
        show: Callable[[str, bool], None],
    ) -> None:  # fmt: skip
        self._config = config
        self._http = http
        self._api = api
        self._key_files = key_files
        self._show = show
        self._newest: FileReady | None = None
        self._arrived = trio.Event()

    def want(self, file: FileReady) -> None:
        """Fetch this one; an earlier one that still waits is none of interest any more."""
        self._newest = file
        self._arrived.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            file, self._newest = self._newest, None
            if file is not None:
                await self._take(file)

    async def _take(self, file: FileReady) -> None:
        for wait_s in (*RETRY_S, None):
            try:
                content = await self._fetch(file.url)
                break
            except PeerError as error:
                logger.warning("key file not fetched reason=%s", error)
                if wait_s is None or self._newest is not None or isinstance(error, NotThere):
                    self._show(f"not fetched: {error}", False)
                    return
                await trio.sleep(wait_s)
        try:
            done = await self._key_files.apply(
                content, file=file.name, source=self._config.source, by=f"vms:{self._config.source}"
            )
        except AgentError as error:
            logger.warning("key file refused reason=%s", error)
            self._show(f"refused: {error}", False)
            return
        left_out = f", {len(done.refused)} rows left out" if done.refused else ""
        self._show(f"{done.added} added, {done.changed} changed, {done.removed} removed{left_out}", True)

    async def _fetch(self, url: str) -> bytes:
        """Raises: PeerError; NotThere when trying again is no use."""
        own = urlsplit(self._config.url)
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise NotThere("its address is none") from None
        at_home = (host, port, parts.scheme) == (own.hostname, own.port, own.scheme)
        if not at_home and (parts.scheme != "https" or host not in (own.hostname, *self._config.key_hosts)):
            raise NotThere(f"its host {host[:64]!r} is not among key_hosts")
        # Our bearer is for the VMS, and for nobody whom a push may name.
        headers = self._api.headers() if at_home else {"Accept": "*/*"}
        with trio.move_on_after(FETCH_S):
            answer = await self._http.request("GET", url, headers=headers)
            if answer.status in (301, 302, 303, 307, 308):
                raise NotThere("it is somewhere else: redirects are not followed")
            if answer.status in (401, 403, 404, 410):
                raise NotThere(f"HTTP {answer.status}")
            if answer.status != 200:
                raise PeerError(f"HTTP {answer.status}")
            kind = answer.header("content-type").partition(";")[0].strip().lower()
            if kind not in KINDS:
                raise NotThere(f"it is {kind[:60]!r}, and no table")
            if len(answer.body) > MAX_FILE_BYTES:
                raise NotThere(f"larger than {MAX_FILE_BYTES >> 20} MiB")
            return answer.body
        raise PeerError(f"not fetched within {FETCH_S:g} s")


class NotThere(PeerError):
    """A file that another try will not bring."""
