// AN IMITATION of Zello's JavaScript SDK 1.4.0, written from a description of what it does on the wire; npm's ws below it.
//
// Its habits: `channel` at logon and nowhere else; seq counted on over reconnects; audio is sent from the moment that start_stream is
// on its way, with stream id 0 until the reply is there; the stream listeners know no ids, so that what comes while one stream
// plays belongs to it; an on_stream_stop ends whatever plays; a keepalive command; stop_stream with a null id after a refusal.
'use strict';
const fs = require('node:fs');
const readline = require('node:readline');
const WebSocket = require('ws');

const env = process.env;
const tell = (what) => process.stdout.write(JSON.stringify(what) + '\n');
const pending = new Map();
let seq = 0;
let socket;
let playing = null;

function ask(body, answered) {
  seq += 1;
  pending.set(seq, answered);
  socket.send(JSON.stringify({ ...body, seq }));
}

function packet(streamId, packetId, opus) {
  const header = Buffer.alloc(9);
  header.writeUInt8(1, 0);
  header.writeUInt32BE(streamId, 1);
  header.writeUInt32BE(packetId, 5);
  return Buffer.concat([header, opus]);
}

function talk(file, earlyPackets) {
  // One Opus packet per line, in base64.
  const packets = fs.readFileSync(file, 'utf8').trim().split('\n').map((line) => Buffer.from(line, 'base64'));
  let streamId = 0;
  let refused = null;
  let sent = 0;
  let early = 0;
  ask({ command: 'start_stream', type: 'audio', codec: 'opus', codec_header: 'gD4BFA==', packet_duration: 20 }, (reply) => {
    if (reply.success) streamId = reply.stream_id;
    else refused = reply.error;
  });
  while (early < earlyPackets) {
    socket.send(packet(0, (early += 1), packets[sent++]));
  }
  const begun = Date.now();
  const timer = setInterval(() => {
    while (refused === null && streamId !== 0 && sent < packets.length && (sent - early) * 20 <= Date.now() - begun) {
      socket.send(packet(streamId, sent + 1, packets[sent]));
      sent += 1;
    }
    if (sent === packets.length || refused !== null) {
      clearInterval(timer);
      ask({ command: 'stop_stream', stream_id: streamId || null }, (reply) => {
        tell({ talked: { sent, early, refused, stopped: reply.success === true, error: reply.error } });
      });
    }
  }, 5);
}

function onText(text) {
  const message = JSON.parse(text);
  if (message === null || typeof message !== 'object' || Array.isArray(message)) {
    throw new Error('a text message that is no object breaks the SDK');
  }
  if (message.seq && pending.has(message.seq)) {
    const answered = pending.get(message.seq);
    pending.delete(message.seq);
    return answered(message);
  }
  if (message.command === 'on_stream_start') {
    if (playing !== null) tell({ failed: 'a stream began while another one played' });
    playing = { id: message.stream_id, from: message.from, header: message.codec_header, begun: Date.now(), packets: 0, foreign: 0 };
  } else if (message.command === 'on_stream_stop') {
    if (playing === null) return tell({ got: { outgoing_stopped: message.stream_id } });
    const raw = Buffer.from(playing.header, 'base64');
    const nominalMs = playing.packets * raw.readUInt8(2) * raw.readUInt8(3);
    tell({ got: { stream: { ...playing, rate: raw.readUInt16LE(0), nominalMs, tookMs: Date.now() - playing.begun } } });
    playing = null;
  } else {
    tell({ got: message });
  }
}

function connect() {
  socket = new WebSocket(env.PEER_URL, { ca: fs.readFileSync(env.PEER_CA), origin: 'https://example.org' });
  socket.binaryType = 'nodebuffer';
  socket.on('open', () => {
    const logon = { command: 'logon', channel: env.PEER_CHANNEL, auth_token: 'none', version: '1.4.0' };
    ask({ ...logon, username: env.PEER_USER, password: env.PEER_PASSWORD }, (reply) => tell({ opened: reply }));
  });
  socket.on('message', (data, binary) => {
    if (!binary) return onText(data.toString());
    if (data.length < 9) return tell({ failed: 'a binary message shorter than its header' });
    if (data.readUInt8(0) === 1 && playing !== null) {
      playing.packets += 1;
      if (data.readUInt32BE(1) !== playing.id) playing.foreign += 1;
    }
  });
  socket.on('error', (error) => tell({ failed: error.message }));
  socket.on('close', (code) => tell({ closed: code }));
}

connect();
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line);
  if (order.talk) talk(order.talk, order.early || 0);
  else if (order.keepalive) ask({ command: 'keepalive' }, (reply) => tell({ kept: reply.success === true }));
  else if (order.again) { socket.removeAllListeners('close'); socket.terminate(); connect(); }
  else ask(order.ask, (reply) => tell({ answered: reply }));
}).on('close', () => process.exit(0));
