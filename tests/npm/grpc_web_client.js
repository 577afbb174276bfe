// The grpc-web client of npm against the service of grpc_filters_test.py, in both formats; prints what came back.
'use strict';
global.XMLHttpRequest = require('xhr2');
const {GrpcWebClientBase, MethodDescriptor, MethodType} = require('grpc-web');

const base = process.argv[2];
const bytes = (text) => new TextEncoder().encode(text);
const text = (data) => new TextDecoder().decode(data);

class Text {
  constructor(value) { this.value = value; }
}

function method(name, type) {
  return new MethodDescriptor('/test.Echo/' + name, type, Text, Text, (request) => bytes(request.value), text);
}

function unary(client, name) {
  return new Promise((resolve) => {
    const seen = {};
    const call = client.rpcCall(base + '/test.Echo/' + name, new Text('hello'), {'x-mine': 'yes'},
        method(name, MethodType.UNARY), (error, answer) => {
          if (error) {
            resolve({code: error.code, message: error.message});
          } else {
            seen.answer = answer;
            setTimeout(() => resolve(seen), 0);
          }
        });
    call.on('metadata', (metadata) => { seen.initial = metadata['x-initial']; });
    call.on('status', (status) => { seen.trailing = status.metadata && status.metadata['x-trailing']; });
  });
}

function stream(client) {
  return new Promise((resolve) => {
    const answers = [];
    const call = client.serverStreaming(base + '/test.Echo/Down', new Text(''), {},
        method('Down', MethodType.SERVER_STREAMING));
    call.on('data', (answer) => answers.push(answer));
    call.on('error', (error) => resolve({answers, code: error.code, message: error.message}));
  });
}

(async () => {
  const all = {};
  for (const format of ['text', 'binary']) {
    const client = new GrpcWebClientBase({format});
    all[format] = {unary: await unary(client, 'Unary'), fail: await unary(client, 'Fail')};
    if (format === 'text') all[format].stream = await stream(client);
  }
  process.stdout.write(JSON.stringify(all));
})();
