"""Images on their way: both parts are gathered, then told in one piece to everybody on the channel."""

from __future__ import annotations

from functools import partial
from typing import Literal

from agent.net.websocket import binary_frame, text_frame
from agent.workers.zello.agenda import Agenda, Appointment
from agent.workers.zello.channel import Channel
from agent.workers.zello.commands import ImageSource, SendImage
from agent.workers.zello.counters import Counters
from agent.workers.zello.downlink import Downlink
from agent.workers.zello.events import ImageAnnounced, encode_told
from agent.workers.zello.ids import Ids
from agent.workers.zello.packets import ImagePacket, image_packet

UPLOAD_S = 30.0
MAX_UPLOADS = 2  # of one connection
MAX_GATHERED_BYTES = 16 * 1024 * 1024  # of all connections

Taken = Literal["taken", "unknown", "no room"]


class Upload:
    """One image that a client has announced; owned by the gallery until it is told or forgotten."""

    __slots__ = ("announced", "channel", "full", "number", "owner", "sender", "thumbnail", "timer")

    def __init__(
        self, number: int, channel: Channel, owner: Downlink, sender: str, announced: SendImage
    ) -> None:
        self.number = number
        self.channel = channel
        self.owner = owner
        self.sender = sender
        self.announced = announced
        self.full = b""
        self.thumbnail = b""
        self.timer: Appointment | None = None

    @property
    def gathered_bytes(self) -> int:
        """What it holds."""
        return len(self.full) + len(self.thumbnail)


class Gallery:
    """All images of one server. Of more than MAX_UPLOADS unfinished ones of a client the oldest goes."""

    def __init__(self, agenda: Agenda, counters: Counters, ids: Ids) -> None:
        self._agenda = agenda
        self._counters = counters
        self._ids = ids
        self._uploads: dict[int, Upload] = {}
        self._gathered_bytes = 0

    @property
    def gathered_bytes(self) -> int:
        """What unfinished uploads hold in memory."""
        return self._gathered_bytes

    def expect(self, channel: Channel, owner: Downlink, sender: str, announced: SendImage) -> int:
        """The number under which both parts may come, within UPLOAD_S."""
        mine = [upload for upload in self._uploads.values() if upload.owner is owner]
        if len(mine) >= MAX_UPLOADS:
            self._finish(mine[0])
        upload = Upload(self._ids.next(), channel, owner, sender, announced)
        upload.timer = self._agenda.after(UPLOAD_S, partial(self._finish, upload))
        self._uploads[upload.number] = upload
        return upload.number

    def take(self, owner: Downlink, packet: ImagePacket) -> Taken:
        """One part, in any order; with the second one the image is told."""
        upload = self._uploads.get(packet.image_id)
        if upload is None or upload.owner is not owner:
            return "unknown"
        before = upload.gathered_bytes
        room = MAX_GATHERED_BYTES - self._gathered_bytes
        if len(packet.jpeg) > room:
            return "no room"
        if packet.part == "full":
            upload.full = packet.jpeg
        else:
            upload.thumbnail = packet.jpeg
        self._gathered_bytes += upload.gathered_bytes - before
        if upload.full and upload.thumbnail:
            self._finish(upload)
        return "taken"

    def forget(self, owner: Downlink) -> None:
        """The connection is gone, perhaps right behind its last part: what came of an image is told."""
        for upload in [upload for upload in self._uploads.values() if upload.owner is owner]:
            self._finish(upload)

    def show(
        self,
        channel: Channel,
        *,
        sender: str,
        full: bytes,
        thumbnail: bytes,
        width: int,
        height: int,
        source: ImageSource = "camera",
        recipient: str = "",
        owner: Downlink | None = None,
        number: int | None = None,
    ) -> None:
        """Tell an image. A part that is missing is replaced by the other: clients count two messages each."""
        message_id = number if number is not None else self._ids.next()
        frames = (
            text_frame(
                encode_told(
                    ImageAnnounced(
                        message_id=message_id,
                        channel=channel.name,
                        sender=sender,
                        width=width,
                        height=height,
                        source=source,
                        recipient=recipient,
                    )
                )
            ),
            binary_frame(image_packet(message_id, "thumbnail", thumbnail or full)),
            binary_frame(image_packet(message_id, "full", full or thumbnail)),
        )
        self._counters.images += 1
        for link in channel.audience(owner, recipient):
            link.image(frames)

    def _finish(self, upload: Upload) -> None:
        """Tell what has come, if anything has."""
        if self._uploads.get(upload.number) is not upload:
            return
        self._remove(upload)
        if upload.full or upload.thumbnail:
            announced = upload.announced
            self.show(
                upload.channel,
                sender=upload.sender,
                full=upload.full,
                thumbnail=upload.thumbnail,
                width=announced.width,
                height=announced.height,
                source=announced.source,
                recipient=announced.recipient,
                owner=upload.owner,
                number=upload.number,
            )

    def _remove(self, upload: Upload) -> None:
        del self._uploads[upload.number]
        self._gathered_bytes -= upload.gathered_bytes
        if upload.timer is not None:
            upload.timer.cancel()
