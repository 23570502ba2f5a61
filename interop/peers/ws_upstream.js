// The npm package ws as a server: an event server for Portero's own client, with compression on offer.
// Commands: {"send": ...} to everybody, {"close": code}, {"terminate": true}.
"use strict";

const readline = require("node:readline");
const { WebSocketServer } = require("ws");

const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: true });

server.on("listening", () => tell({ listening: server.address().port }));
server.on("connection", (socket, request) => {
  tell({ opened: { path: request.url, extensions: socket.extensions } });
  socket.on("message", (data) => {
    const message = JSON.parse(data);
    tell({ got: message });
    if (message.event === "auth") {
      const known = message.data.user === process.env.PEER_USER && message.data.password === process.env.PEER_PASSWORD;
      const answer = known
        ? { event: "auth", type: "", status: "Success", reason: "", version: "7.0.24" }
        : { event: "auth", type: "", status: "Fail", reason: "BADAUTH" };
      socket.send(JSON.stringify(answer));
    } else if (message.event === "control" && message.data.type === "version") {
      socket.send(JSON.stringify({ event: "control", type: "version", status: "Success", version: "7.0.24" }));
    }
  });
  socket.on("close", (code) => tell({ closed: code }));
});

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    for (const socket of server.clients) {
      if ("close" in command) socket.close(command.close);
      else if ("terminate" in command) socket.terminate();
      else socket.send(JSON.stringify(command.send));
    }
  })
  .on("close", () => process.exit(0));
