// ws as a client of websocket_server.js at the given host:port (and Host, if another), or at wss://host:port;
// prints {case: "ok" or what was wrong}.
'use strict';
const assert = require('assert');
const {once} = require('events');
const WebSocket = require('ws');

const base = process.argv[2].includes('://') ? process.argv[2] : 'ws://' + process.argv[2];

async function open({protocols = [], ...options} = {}) {
  const headers = process.argv[3] ? {Host: process.argv[3]} : {};
  const socket = new WebSocket(base + '/chat?room=1', protocols, {maxPayload: 64 << 20, headers, ...options});
  await once(socket, 'open');
  return socket;
}

async function closed(socket, code) {
  const ended = once(socket, 'close');
  socket.close(code);
  return (await ended)[0];
}

async function echo(socket, data) {
  const answer = once(socket, 'message');
  socket.send(data);
  const [got, binary] = await answer;
  assert.strictEqual(binary, typeof data !== 'string');
  assert.ok(Buffer.from(data).equals(got), 'another message came back');
}

const cases = {
  async text_and_binary() {
    const socket = await open({perMessageDeflate: false});
    assert.strictEqual(socket.extensions, '');
    await echo(socket, 'h\u00e9llo \u{1f608}');
    await echo(socket, Buffer.from([0, 1, 254, 255]));
    await echo(socket, '');
    assert.strictEqual(await closed(socket, 1000), 1000);
  },
  async compressed() {
    const socket = await open({perMessageDeflate: {threshold: 0}});
    assert.match(socket.extensions, /permessage-deflate/);
    await echo(socket, 'again and '.repeat(100000));
    await closed(socket, 1000);
  },
  async of_16_mib() {
    const socket = await open({perMessageDeflate: false});
    await echo(socket, Buffer.alloc(16 << 20, 'x'));
    await closed(socket, 1000);
  },
  async in_fragments() {
    const socket = await open({perMessageDeflate: false});
    const answer = once(socket, 'message');
    socket.send('one ', {fin: false});
    await new Promise((resolve) => setTimeout(resolve, 20));
    socket.send('two', {fin: true});
    assert.strictEqual((await answer)[0].toString(), 'one two');
    await closed(socket, 1000);
  },
  async ping() {
    const socket = await open();
    const pong = once(socket, 'pong');
    socket.ping('are you there');
    assert.strictEqual((await pong)[0].toString(), 'are you there');
    await closed(socket, 1000);
  },
  async subprotocol() {
    const socket = await open({protocols: ['nonsense', 'echo']});
    assert.strictEqual(socket.protocol, 'echo');
    await closed(socket, 1000);
  },
  async closed_by_the_server() {
    const socket = await open();
    const ended = once(socket, 'close');
    socket.send('close 4321');
    const [code, reason] = await ended;
    assert.deepStrictEqual([code, reason.toString()], [4321, 'as you said']);
  },
  async server_that_vanishes() {
    const socket = await open();
    const ended = once(socket, 'close');
    socket.on('error', () => {});
    socket.send('vanish');
    assert.strictEqual((await ended)[0], 1006);
  },
  async many_at_once() {
    const sockets = await Promise.all(Array.from({length: 50}, () => open()));
    for (let i = 0; i < 5; ++i) await Promise.all(sockets.map((one, k) => echo(one, 'message ' + i + ' of ' + k)));
    await Promise.all(sockets.map((one) => closed(one, 1000)));
  },
};

require('./run_cases.js')(cases);
