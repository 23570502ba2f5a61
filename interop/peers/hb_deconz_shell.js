// The npm package hb-deconz-tools, unmodified: what Homebridge speaks deCONZ with. Settings: PEER_URL, PEER_KEY. Commands:
// {"discover": true}, {"describe": true}, {"link": true}, {"get": "/"}, {"put": "/lights/1/state", "body": {...}},
// {"listen": "HOST:PORT"}, {"hangup": true}.
"use strict";

const readline = require("node:readline");
const { pathToFileURL } = require("node:url");

const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");
// Modules of this kind are not looked for in NODE_PATH; `require.resolve` does.
const load = (name) => import(pathToFileURL(require.resolve(`hb-deconz-tools/${name}`)));
const host = new URL(process.env.PEER_URL).host;

async function main() {
  const { ApiClient } = await load("ApiClient");
  const { Discovery } = await load("Discovery");
  const { WsClient } = await load("WsClient");
  let client = null;
  let socket = null;

  function api(config = {}) {
    if (client === null) {
      client = new ApiClient({ config, host, ...(process.env.PEER_KEY ? { apiKey: process.env.PEER_KEY } : {}) });
      client.on("error", (error) => tell({ complaint: error.message }));
    }
    return client;
  }

  function listen(at) {
    socket = new WsClient({ host: at, retryTime: 1 });
    socket
      .on("listening", (url) => tell({ listening: url }))
      .on("changed", (r, id, body) => tell({ changed: { r, id, body: body ?? null } }))
      .on("added", (r, id, body) => tell({ added: { r, id, body } }))
      .on("deleted", (r, id) => tell({ deleted: { r, id } }))
      .on("notification", (raw) => tell({ other: raw }))
      .on("closed", (url, retryTime) => tell({ closed: url, retryTime }))
      .on("error", (error) => tell({ complaint: error.message }));
    socket.listen();
  }

  async function obey(order) {
    if (order.discover) tell({ config: await new Discovery().config(host) });
    else if (order.describe) tell({ description: await new Discovery().description(host) });
    else if (order.link) tell({ key: await api().getApiKey("hb-deconz shell") });
    else if (order.get) tell({ read: await api().get(order.get) });
    else if (order.put) {
      const { success, errors } = await api().put(order.put, order.body);
      tell({ written: success, errors: errors.map((error) => error.message) });
    } else if (order.listen) listen(order.listen);
    else if (order.hangup) await socket.close();
  }

  for await (const line of readline.createInterface({ input: process.stdin })) {
    try {
      await obey(JSON.parse(line));
    } catch (error) {
      tell({ refused: error.message, status: error.statusCode ?? null, type: error.type ?? null });
    }
  }
  process.exit(0);
}

main();
