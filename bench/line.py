"""A blocking websocket client over TLS, for the listeners and talkers of a benchmark."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import struct
from typing import Any


class Line:
    """A blocking client over TLS, as small as it can be."""

    def __init__(self, url: str, ca: str) -> None:
        host, port = url.split("/")[2].rsplit(":", 1)
        context = ssl.create_default_context(cafile=ca)
        self.sock = context.wrap_socket(
            socket.create_connection((host, int(port))), server_hostname="localhost"
        )
        self.sock.settimeout(20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET /ws HTTP/1.1\r\nHost: door\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self.sock.recv(4096)
        self.rest = self.rest.partition(b"\r\n\r\n")[2]

    def send(self, message: bytes | dict[str, Any]) -> None:
        """One masked frame; the mask is zero, which is one."""
        text = isinstance(message, dict)
        data = json.dumps(message).encode() if isinstance(message, dict) else message
        length = (
            bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0xFE]) + struct.pack(">H", len(data))
        )
        self.sock.sendall(bytes([0x81 if text else 0x82]) + length + bytes(4) + data)

    def receive(self) -> bytes | dict[str, Any]:
        """The next message; pings are passed over."""
        while True:
            head = self._take(2)
            size = head[1] & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", self._take(2))
            data = self._take(size)
            match head[0] & 0x0F:
                case 1:
                    plain: dict[str, Any] = json.loads(data)
                    return plain
                case 2:
                    return data
                case 8:
                    raise RuntimeError("the server closed the connection")

    def ask(self, **command: Any) -> dict[str, Any]:
        """A command's reply; events before it are passed over."""
        self.send(command)
        while True:
            reply = self.receive()
            if isinstance(reply, dict) and reply.get("seq") == command["seq"]:
                return reply

    def log_on(self, user: str, secret: str, channel: str) -> None:
        """Raises: RuntimeError when refused."""
        reply = self.ask(command="logon", seq=1, username=user, password=secret, channels=[channel])
        if not reply.get("success"):
            raise RuntimeError(f"not logged on: {reply}")

    def _take(self, count: int) -> bytes:
        while len(self.rest) < count:
            data = self.sock.recv(65536)
            if not data:
                raise RuntimeError("the connection is gone")
            self.rest += data
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken
