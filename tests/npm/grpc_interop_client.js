// The cases of tests/conformance/grpc_interop_test.py with grpc-js, at the given host:port, over TLS if "tls" follows (grpc-js does
// not look at NODE_EXTRA_CA_CERTS by itself); prints {case: "ok" or what was wrong}.
'use strict';
const assert = require('assert');
const fs = require('fs');
const grpc = require('@grpc/grpc-js');
const {message, parts, method, service, options, echoInitial, echoTrailing} = require('./grpc_interop.js');

const Client = grpc.makeGenericClientConstructor(service);
const credentials = process.argv[3] === 'tls' ? grpc.credentials.createSsl(fs.readFileSync(process.env.NODE_EXTRA_CA_CERTS))
  : grpc.credentials.createInsecure();
const client = new Client(process.argv[2], credentials, options);
const zipping = new Client(process.argv[2], credentials, {...options, 'grpc.default_compression_algorithm': 2});
const soon = () => ({deadline: Date.now() + 20000});

function unary(data, {name = 'UnaryCall', metadata = new grpc.Metadata(), from = client} = {}) {
  return new Promise((resolve) => {
    const seen = {};
    const call = from[name](data, metadata, soon(), (error, answer) => {
      seen.error = error;
      seen.answer = answer;
    });
    call.on('metadata', (initial) => { seen.initial = initial; });
    call.on('status', (status) => { seen.status = status; resolve(seen); });
  });
}

// Collects what a stream answers; `onData(call, count)` may write more.
function answers(call, onData = () => {}) {
  return new Promise((resolve) => {
    const seen = {sizes: []};
    call.on('metadata', (initial) => { seen.initial = initial; });
    call.on('data', (data) => { seen.sizes.push(parts(data).zeros); onData(call, seen.sizes.length); });
    call.on('error', () => {});
    call.on('status', (status) => { seen.status = status; resolve(seen); });
  });
}

async function large({from = client, ...more} = {}) {
  const {error, answer} = await unary(message(271828, {size: 314159, ...more}), {from});
  assert.ifError(error);
  assert.strictEqual(parts(answer).zeros, 314159);
}

const special = '\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n';
const cases = {
  async empty_unary() {
    const {error, answer} = await unary(Buffer.from('\n'), {name: 'EmptyCall'});
    assert.ifError(error);
    assert.strictEqual(answer.toString(), '\n');
  },
  large_unary: () => large(),
  async unary_of_20_mib() {
    const {error, answer} = await unary(message(20 << 20, {size: 20 << 20}));
    assert.ifError(error);
    assert.strictEqual(parts(answer).zeros, 20 << 20);
  },
  client_compressed_unary: () => large({from: zipping}),
  server_compressed_unary: () => large({zip: true}),
  client_streaming: () => new Promise((resolve, reject) => {
    const call = client.StreamingInputCall(new grpc.Metadata(), soon(), (error, answer) => {
      if (error) return reject(error);
      try {
        assert.deepStrictEqual(parts(answer).said, {total: 74922});
        resolve();
      } catch (wrong) { reject(wrong); }
    });
    for (const size of [27182, 8, 1828, 45904]) call.write(message(size));
    call.end();
  }),
  async server_streaming() {
    for (const zip of [false, true]) {
      const call = client.StreamingOutputCall(message(0, {sizes: [31415, 9, 2653, 58979], zip}), soon());
      const {sizes, status} = await answers(call);
      assert.strictEqual(status.code, 0);
      assert.deepStrictEqual(sizes, [31415, 9, 2653, 58979]);
    }
  },
  async ping_pong() {
    const plan = [[27182, 31415], [8, 9], [1828, 2653], [45904, 58979]];
    const call = client.FullDuplexCall(new grpc.Metadata(), soon());
    const write = (i) => (i < plan.length ? call.write(message(plan[i][0], {sizes: [plan[i][1]]})) : call.end());
    const all = answers(call, (_, count) => write(count));
    write(0);
    const {sizes, status} = await all;
    assert.strictEqual(status.code, 0);
    assert.deepStrictEqual(sizes, plan.map((one) => one[1]));
  },
  async empty_stream() {
    const call = client.FullDuplexCall(new grpc.Metadata(), soon());
    call.end();
    const {sizes, status} = await answers(call);
    assert.strictEqual(status.code, 0);
    assert.deepStrictEqual(sizes, []);
  },
  async custom_metadata() {
    const metadata = new grpc.Metadata();
    metadata.set(echoInitial, 'test_initial_metadata_value');
    metadata.set(echoTrailing, Buffer.from([0xab, 0xab, 0xab]));
    const call = client.FullDuplexCall(metadata, soon());
    const streamed = answers(call);
    call.write(message(271828, {sizes: [314159]}));
    call.end();
    for (const seen of [await unary(message(271828, {size: 314159}), {metadata}), await streamed]) {
      assert.strictEqual(seen.status.code, 0);
      assert.deepStrictEqual(seen.initial.get(echoInitial), ['test_initial_metadata_value']);
      assert.deepStrictEqual(seen.status.metadata.get(echoTrailing), [Buffer.from([0xab, 0xab, 0xab])]);
    }
  },
  async status_code_and_message() {
    const asked = message(0, {status: [2, 'test status message']});
    const call = client.FullDuplexCall(new grpc.Metadata(), soon());
    const streamed = answers(call);
    call.write(asked);
    call.end();
    for (const {status} of [await unary(asked), await streamed]) {
      assert.deepStrictEqual([status.code, status.details], [2, 'test status message']);
    }
  },
  async special_status_message() {
    const {status} = await unary(message(0, {status: [2, special]}));
    assert.deepStrictEqual([status.code, status.details], [2, special]);
  },
  async unimplemented_method() {
    const {status} = await unary(Buffer.from('\n'), {name: 'UnimplementedCall'});
    assert.strictEqual(status.code, grpc.status.UNIMPLEMENTED);
  },
  async unimplemented_service() {
    const Other = grpc.makeGenericClientConstructor(
        {UnaryCall: method('/grpc.testing.UnimplementedService/UnimplementedCall', false, false)});
    const other = new Other(process.argv[2], credentials);
    const {status} = await unary(Buffer.from('\n'), {from: other});
    other.close();
    assert.strictEqual(status.code, grpc.status.UNIMPLEMENTED);
  },
  async cancel_after_begin() {
    const call = client.StreamingInputCall(new grpc.Metadata(), soon(), () => {});
    const ended = new Promise((resolve) => call.on('status', resolve));
    call.cancel();
    assert.strictEqual((await ended).code, grpc.status.CANCELLED);
  },
  async cancel_after_first_response() {
    const call = client.FullDuplexCall(new grpc.Metadata(), soon());
    const all = answers(call, () => call.cancel());
    call.write(message(27182, {sizes: [31415]}));
    const {sizes, status} = await all;
    assert.deepStrictEqual([sizes, status.code], [[31415], grpc.status.CANCELLED]);
  },
  async timeout_on_sleeping_server() {
    const call = client.FullDuplexCall(new grpc.Metadata(), {deadline: Date.now() + 100});
    const all = answers(call);
    call.write(message(27182));
    assert.strictEqual((await all).status.code, grpc.status.DEADLINE_EXCEEDED);
  },
  concurrent_large_unary: () => Promise.all(Array.from({length: 50}, () => large())),
  async large_metadata() {
    const metadata = new grpc.Metadata();
    metadata.set(echoInitial, 'm'.repeat(6144));
    const {initial, error} = await unary(message(0), {metadata});
    assert.ifError(error);
    assert.deepStrictEqual(initial.get(echoInitial), ['m'.repeat(6144)]);
  },
};

require('./run_cases.js')(cases);
