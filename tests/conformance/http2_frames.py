"""HTTP/2 frames made by hand (RFC 9113, RFC 7541), and a peer that sends and reads them one by one. Fields are sent as literals
without index; what is read is decoded by python's hpack."""
import hpack

import mesh

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS, PADDED, PRIORITIZED = 4, 8, 32
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM,
 CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED) = range(14)

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)
ENABLE_CONNECT_PROTOCOL = 8  # RFC 8441 section 3


def u32(value):
    return value.to_bytes(4, "big")


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + u32(stream) + payload


def setting(name, value):
    return name.to_bytes(2, "big") + u32(value)


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(setting(name, value) for name, value in pairs))


def integer(value, bits, first=0):
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out = bytes([first | limit])
    value -= limit
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def literal(name, value):
    def text(part):
        part = part.encode("latin-1") if isinstance(part, str) else part
        return integer(len(part), 7) + part
    return b"\0" + text(name) + text(value)


def block(fields):
    return b"".join(literal(name, value) for name, value in fields)


def get(path="/", more=(), method="GET", authority="a"):
    return [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority)] + list(more)


def headers(stream, fields, end=True, flags=0):
    return frame(HEADERS, flags | END_HEADERS | (END_STREAM if end else 0), stream, block(fields))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, u32(increment))


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload

    def word(self, at=0):
        return int.from_bytes(self.payload[at:at + 4], "big")

    def __repr__(self):
        return "Frame(%d, flags %d, stream %d, %r)" % (self.kind, self.flags, self.stream, self.payload[:40])


class Closed(Exception):
    pass


class Peer:
    """One end of an HTTP/2 connection over a mesh.Conversation."""

    def __init__(self, conversation, server=False, start=True, pairs=()):
        self.conversation = conversation
        self.seen = []
        self.decoder = hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 24
        self.next_stream = 1
        if server:
            conversation.exactly(24)
        if start:
            self.send((b"" if server else PREFACE) + settings(*pairs))

    def send(self, data):
        self.conversation.send(data)

    def read(self):
        """The next frame; SETTINGS are acknowledged and PINGs answered on the way."""
        try:
            head = self.conversation.exactly(9)
            payload = self.conversation.exactly(int.from_bytes(head[:3], "big"))
        except (AssertionError, ConnectionResetError) as end:
            raise Closed(str(end))
        one = Frame(head[3], head[4], int.from_bytes(head[5:9], "big"), payload)
        self.seen.append(one)
        try:
            if one.kind == SETTINGS and not one.flags & ACK:
                self.send(frame(SETTINGS, ACK, 0))
            if one.kind == PING and not one.flags & ACK:
                self.send(frame(PING, ACK, 0, one.payload))
        except OSError:
            pass
        return one

    def until(self, wanted):
        """Reads up to and with the first frame for which wanted(frame) holds."""
        while True:
            one = self.read()
            if wanted(one):
                return one

    def fields(self, one):
        assert one.kind == HEADERS and one.flags & END_HEADERS, one
        return self.decoder.decode(one.payload, raw=False)

    def ask(self, path="/direct", more=(), method="GET", end=True):
        stream = self.next_stream
        self.next_stream += 2
        self.send(headers(stream, get(path, more, method), end))
        return stream

    def request(self):
        """Server: the next request as (stream, fields)."""
        one = self.until(lambda f: f.kind == HEADERS)
        return one.stream, self.fields(one)

    def status(self, stream):
        """The final status of that stream."""
        while True:
            one = self.until(lambda f: f.stream == stream and f.kind in (HEADERS, RST_STREAM) or f.kind == GOAWAY and f.word(4))
            if one.kind != HEADERS:
                raise AssertionError("no answer but %r" % one)
            status = dict(self.fields(one))[":status"]
            if status[0] != "1":
                return status

    def serves(self):
        """A PING that comes back shows that what was sent before is done with; then a request is answered."""
        return self.status(self.ask()) == "200"

    def verdict(self):
        """("connection", code), ("stream", id, code) or ("fine",): what came of the frames sent so far, told by a PING."""
        reset = None
        rounds = 0
        self._ping(rounds)
        try:
            while True:
                one = self.read()
                if one.kind == RST_STREAM and reset is None and one.word() != NO_ERROR:
                    reset = ("stream", one.stream, one.word())
                if one.kind == GOAWAY and one.word(4) != NO_ERROR:
                    return ("connection", one.word(4))
                if one.kind == PING and one.flags & ACK and one.payload == b"verdict%d" % rounds:
                    rounds += 1  # its answer may overtake what it came behind, but not twice
                    if rounds == 2:
                        return reset or ("fine",)
                    self._ping(rounds)
        except Closed:
            return ("closed",)

    def _ping(self, number):
        try:
            self.send(frame(PING, 0, 0, b"verdict%d" % number))
        except OSError:
            pass

    def ended(self):
        """Reads to the end of the connection."""
        try:
            while True:
                self.read()
        except Closed:
            return True
