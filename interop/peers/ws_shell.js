// The npm package ws as a client that offers permessage-deflate, driven line by line:
// {"send": ...}, {"raw": "..."}, {"fragments": ["...", ...]}, {"ping": true}, {"close": 1000}, {"terminate": true}.
"use strict";

const fs = require("node:fs");
const readline = require("node:readline");
const WebSocket = require("ws");

const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const socket = new WebSocket(process.env.PEER_URL, [], {
  ca: fs.readFileSync(process.env.PEER_CA),
  perMessageDeflate: true,
  headers: { "User-Agent": "Mozilla/5.0 (an imitation)" },
  origin: "https://app.example",
});

socket.on("upgrade", (response) => tell({ upgraded: response.headers }));
socket.on("open", () => {
  tell({ opened: { extensions: socket.extensions, protocol: socket.protocol } });
  obey();
});
socket.on("message", (data, isBinary) => tell(isBinary ? { binary: data.length } : { got: JSON.parse(data) }));
socket.on("ping", () => tell({ pinged: true }));
socket.on("pong", () => tell({ pong: true }));
socket.on("error", (error) => tell({ failed: error.message }));
socket.on("close", (code, reason) => {
  tell({ closed: code, reason: reason.toString() });
  process.exit(0);
});

function obey() {
  readline
    .createInterface({ input: process.stdin })
    .on("line", (line) => {
      const command = JSON.parse(line);
      if ("raw" in command) socket.send(command.raw);
      else if ("fragments" in command)
        command.fragments.forEach((part, index) => socket.send(part, { fin: index === command.fragments.length - 1 }));
      else if ("binary" in command) socket.send(Buffer.alloc(command.binary));
      else if ("ping" in command) socket.ping();
      else if ("close" in command) socket.close(command.close);
      else if ("terminate" in command) socket.terminate();
      else socket.send(JSON.stringify(command.send));
    })
    .on("close", () => socket.close(1000));
}
