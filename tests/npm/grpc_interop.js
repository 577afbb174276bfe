// Messages of tests/conformance/grpc_interop_test.py: a JSON line and so many zeros.
'use strict';

exports.message = (zeros, said = {}) => Buffer.concat([Buffer.from(JSON.stringify(said) + '\n'), Buffer.alloc(zeros)]);

exports.parts = (data) => {
  const end = data.indexOf(10);
  return {said: JSON.parse(data.subarray(0, end).toString() || '{}'), zeros: data.length - end - 1};
};

const same = (data) => data;

exports.method = (path, requestStream, responseStream) => ({
  path, requestStream, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
});

exports.service = {
  EmptyCall: exports.method('/grpc.testing.TestService/EmptyCall', false, false),
  UnaryCall: exports.method('/grpc.testing.TestService/UnaryCall', false, false),
  StreamingOutputCall: exports.method('/grpc.testing.TestService/StreamingOutputCall', false, true),
  StreamingInputCall: exports.method('/grpc.testing.TestService/StreamingInputCall', true, false),
  FullDuplexCall: exports.method('/grpc.testing.TestService/FullDuplexCall', true, true),
  UnimplementedCall: exports.method('/grpc.testing.TestService/UnimplementedCall', false, false),
};
exports.options = {'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1};
exports.echoInitial = 'x-grpc-test-echo-initial';
exports.echoTrailing = 'x-grpc-test-echo-trailing-bin';
