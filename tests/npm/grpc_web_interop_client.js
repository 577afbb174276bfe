// The cases of tests/conformance/grpc_web_interop_test.py with npm's grpc-web, in both of its formats: over HTTP/1.1 with xhr2,
// or over one connection of HTTP/2. Prints {case: "ok" or what was wrong}.
'use strict';
const assert = require('assert');
const [base, transport] = process.argv.slice(2);
global.XMLHttpRequest = transport === 'h2' ? require('./xhr_http2.js')(base) : require('xhr2');
const {GrpcWebClientBase, MethodDescriptor, MethodType, StatusCode} = require('grpc-web');
const {message, parts, echoInitial, echoTrailing} = require('./grpc_interop.js');

const service = '/grpc.testing.TestService/';

function descriptor(path, type) {
  return new MethodDescriptor(path, type, Buffer, Buffer, (data) => new Uint8Array(data), (data) => Buffer.from(data));
}

function unary(client, data, {path = service + 'UnaryCall', metadata = {}} = {}) {
  return new Promise((resolve) => {
    const seen = {};
    const finish = () => setTimeout(() => resolve(seen), 0);  // the status may come after the answer
    const call = client.rpcCall(base + path, data, metadata, descriptor(path, MethodType.UNARY), (error, answer) => {
      seen.error = error;
      seen.answer = answer;
      finish();
    });
    call.on('metadata', (initial) => { seen.initial = initial; });
    call.on('status', (last) => { seen.status = last; });
  });
}

// `onData(call, seen so far, resolve)` may cancel.
function stream(client, data, onData = () => {}) {
  return new Promise((resolve) => {
    const seen = {sizes: []};
    const path = service + 'StreamingOutputCall';
    const call = client.serverStreaming(base + path, data, {}, descriptor(path, MethodType.SERVER_STREAMING));
    const finish = () => setTimeout(() => resolve(seen), 0);
    call.on('data', (answer) => { seen.sizes.push(parts(answer).zeros); onData(call, seen, resolve); });
    call.on('status', (last) => { seen.status = last; });
    call.on('error', (error) => { seen.error = error; finish(); });
    call.on('end', finish);
  });
}

async function large(client) {
  const {error, answer} = await unary(client, message(271828, {size: 314159}));
  assert.ifError(error);
  assert.strictEqual(parts(answer).zeros, 314159);
}

const special = '\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n';
const each = {
  async empty_unary(client) {
    const {error, answer} = await unary(client, Buffer.from('\n'), {path: service + 'EmptyCall'});
    assert.ifError(error);
    assert.strictEqual(answer.toString(), '\n');
  },
  large_unary: large,
  async unary_of_4_mib(client) {
    const {error, answer} = await unary(client, message(4 << 20, {size: 4 << 20}));
    assert.ifError(error);
    assert.strictEqual(parts(answer).zeros, 4 << 20);
  },
  async server_streaming(client) {
    const {sizes, status: last, error} = await stream(client, message(0, {sizes: [31415, 9, 2653, 58979]}));
    assert.ifError(error);
    assert.deepStrictEqual([sizes, last.code], [[31415, 9, 2653, 58979], StatusCode.OK]);
  },
  async empty_stream(client) {
    const {sizes, error} = await stream(client, message(0, {sizes: []}));  // of an OK in the head grpc-web tells nothing
    assert.ifError(error);
    assert.deepStrictEqual(sizes, []);
  },
  async custom_metadata(client) {
    const metadata = {[echoInitial]: 'test_initial_metadata_value', [echoTrailing]: 'q6ur'};
    const {error, initial, status: last} = await unary(client, message(271828, {size: 314159}), {metadata});
    assert.ifError(error);
    assert.strictEqual(initial[echoInitial], 'test_initial_metadata_value');
    assert.strictEqual(last.metadata[echoTrailing], 'q6ur');
  },
  async status_code_and_message(client) {
    const {error} = await unary(client, message(0, {status: [2, 'test status message']}));
    assert.deepStrictEqual([error.code, error.message], [StatusCode.UNKNOWN, 'test status message']);
  },
  async special_status_message(client) {
    const {error} = await unary(client, message(0, {status: [2, special]}));
    assert.deepStrictEqual([error.code, error.message], [StatusCode.UNKNOWN, special]);
  },
  async unimplemented_method(client) {
    const {error} = await unary(client, Buffer.from('\n'), {path: service + 'UnimplementedCall'});
    assert.strictEqual(error.code, StatusCode.UNIMPLEMENTED);
  },
  async unimplemented_service(client) {
    const {error} = await unary(client, Buffer.from('\n'), {path: '/grpc.testing.UnimplementedService/UnaryCall'});
    assert.strictEqual(error.code, StatusCode.UNIMPLEMENTED);
  },
  concurrent_large_unary: (client) => Promise.all(Array.from({length: 20}, () => large(client))),
  async large_metadata(client) {
    const {error, initial} = await unary(client, message(0), {metadata: {[echoInitial]: 'm'.repeat(6144)}});
    assert.ifError(error);
    assert.strictEqual(initial[echoInitial], 'm'.repeat(6144));
  },
};
// Only the text format tells of a stream before its end, and xhr2 does not.
const early = transport !== 'h2' ? {} : {
  async cancel_after_first_response(client) {
    const sizes = Array(64).fill(1 << 20);
    const seen = await stream(client, message(0, {sizes}), (call, soFar, resolve) => { call.cancel(); resolve(soFar); });
    await large(client);
    assert(seen.sizes.length < sizes.length, seen.sizes.length);
  },
};

const cases = {};
for (const [format, more] of [['text', early], ['binary', {}]]) {
  const client = new GrpcWebClientBase({format});
  for (const [name, run] of Object.entries({...each, ...more})) cases[format + '.' + name] = () => run(client);
}
require('./run_cases.js')(cases);
