"""A socket.io server of today (python-socketio on aiohttp), with the channels of laravel-echo-server.

Environment: PEER_PORT. Told: {"channel": NAME, "event": NAME, "payload": {...}}.
Printed: {"listening": PORT}, {"joined": NAME}, {"pushed": NAME}.
"""

import asyncio
import json
import os
import sys

import socketio
from aiohttp import web

server = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins="*")


def say(**line):
    print(json.dumps(line), flush=True)


@server.event
async def subscribe(sid, data):
    channel = data["channel"]
    if channel.startswith("private-") and "Authorization" not in data["auth"]["headers"]:
        await server.emit("subscription_error", (channel, 401), to=sid)
        return
    await server.enter_room(sid, channel)
    say(joined=channel)


async def push():
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        told = json.loads(line)
        await server.emit(told["event"], (told["channel"], told["payload"]), room=told["channel"])
        say(pushed=told["channel"])


async def main():
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    port = int(os.environ["PEER_PORT"])
    await web.TCPSite(runner, "127.0.0.1", port).start()
    say(listening=port)
    await push()


asyncio.run(main())
