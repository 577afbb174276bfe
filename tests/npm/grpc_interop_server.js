// The service of tests/conformance/grpc_interop_test.py. Prints its port; ends with its stdin.
'use strict';
const grpc = require('@grpc/grpc-js');
const {message, parts, service, options, echoInitial, echoTrailing} = require('./grpc_interop.js');

function echoed(call) {
  const initial = new grpc.Metadata();
  const trailing = new grpc.Metadata();
  for (const value of call.metadata.get(echoInitial)) initial.add(echoInitial, value);
  for (const value of call.metadata.get(echoTrailing)) trailing.add(echoTrailing, value);
  if (call.metadata.get(echoInitial).length > 0) call.sendMetadata(initial);
  return trailing;
}

const failure = (status) => ({code: status[0], details: status[1]});
const {UnimplementedCall, ...served} = service;
const server = new grpc.Server(options);
server.addService(served, {
  EmptyCall: (call, done) => done(null, Buffer.from('\n')),
  UnaryCall: (call, done) => {
    const {said} = parts(call.request);
    const trailing = echoed(call);
    if (said.status) return done(failure(said.status));
    done(null, message(said.size || 0), trailing);
  },
  StreamingOutputCall: (call) => {
    for (const size of parts(call.request).said.sizes) call.write(message(size));
    call.end();
  },
  StreamingInputCall: (call, done) => {
    let total = 0;
    call.on('data', (data) => { total += parts(data).zeros; });
    call.on('end', () => done(null, message(0, {total})));
  },
  FullDuplexCall: (call) => {
    const trailing = echoed(call);
    call.on('data', (data) => {
      const {said} = parts(data);
      if (said.status) return call.emit('error', failure(said.status));
      for (const size of said.sizes || []) call.write(message(size));
    });
    call.on('end', () => call.end(trailing));
  },
});
server.bindAsync(process.argv[2] + ':0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(port + '\n');
});
process.stdin.on('end', () => { server.forceShutdown(); process.exit(0); });
process.stdin.resume();
