// ws as a server: echoes messages; takes the subprotocol "echo"; what a message starting with "close " says, it does.
// Prints its port; ends with its stdin.
'use strict';
const {WebSocketServer} = require('ws');

const server = new WebSocketServer({
  host: process.argv[2], port: Number(process.argv[3] || 0), perMessageDeflate: {threshold: 0}, maxPayload: 64 << 20,
  handleProtocols: (protocols) => (protocols.has('echo') ? 'echo' : false),
});
server.on('connection', (socket) => {
  socket.on('message', (data, binary) => {
    const text = binary ? '' : data.toString();
    if (text.startsWith('close ')) return socket.close(Number(text.slice(6)), 'as you said');
    if (text === 'vanish') return socket.terminate();
    socket.send(data, {binary});
  });
});
server.on('listening', () => process.stdout.write(server.address().port + '\n'));
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
