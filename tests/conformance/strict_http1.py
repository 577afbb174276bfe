"""A reader of HTTP/1 messages that takes nothing but their one unambiguous form, for what a sidecar sends: an upstream or a client
behind it could be any other reader, so what this one refuses is a finding. Independent of the sidecar's parser."""
import re

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x22\x24-\x7e]+) HTTP/1\.([01])\r\n\Z")
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)\r\n\Z")
_FIELD = re.compile(rb"(" + _TOKEN + rb"): ?([\x21-\x7e\x80-\xff]?(?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)\r\n\Z")
_CHUNK = re.compile(rb"([0-9a-f]{1,16})\r\n\Z")


class Ambiguous(AssertionError):
    pass


class Message:
    def __init__(self, head, first, fields):
        self.head = head      # its bytes
        self.first = first    # the match of its first line
        self.fields = fields  # [(lower-case name, value)]
        self.body = b""
        self.trailers = []
        self.complete = False

    def all(self, name):
        return [value for key, value in self.fields if key == name]


class Reader:
    """Fed with bytes; `messages` are those that have begun. `answered(i)`: responses, the method of the i-th request."""

    def __init__(self, responses=False, answered=None):
        self.responses = responses
        self.answered = answered or (lambda i: b"GET")
        self.messages = []
        self.data = b""
        self._parts = None
        self._finals = 0

    def feed(self, data):
        self.data += data
        while True:
            if self._parts is None:
                if not self._head():
                    return
            if not self._body():
                return
            self._parts = None

    def end(self):
        """The connection has ended."""
        if self._parts == ("close",):
            self.messages[-1].complete = True

    def complete(self):
        return [message for message in self.messages if message.complete]

    def _lines(self):
        """The lines up to and with the empty one, or None."""
        end = 2 if self.data.startswith(b"\r\n") else self.data.find(b"\r\n\r\n") + 4
        if end == 3:
            if b"\n" in self.data.replace(b"\r\n", b"") or b"\r" in self.data[:-1].replace(b"\r\n", b""):
                raise Ambiguous("a bare CR or LF: %r" % self.data)
            return None
        taken, self.data = self.data[:end], self.data[end:]
        lines = taken.split(b"\r\n")
        return [line + b"\r\n" for line in lines[:-2]]

    def _fields(self, lines):
        fields = []
        for line in lines:
            match = _FIELD.match(line)
            if match is None:
                raise Ambiguous("not a field line: %r" % line)
            fields.append((match.group(1).lower().decode(), match.group(2)))
        return fields

    def _head(self):
        if not self.data:
            return False
        lines = self._lines()
        if lines is None:
            return False
        if not lines:
            raise Ambiguous("an empty line where a message begins")
        match = (_STATUS if self.responses else _REQUEST).match(lines[0])
        if match is None:
            raise Ambiguous("not a first line: %r" % lines[0])
        message = Message(b"".join(lines) + b"\r\n", match, self._fields(lines[1:]))
        self.messages.append(message)
        self._parts = self._framing(message)
        return True

    def _framing(self, message):
        lengths = message.all("content-length")
        codings = message.all("transfer-encoding")
        if len(lengths) + len(codings) > 1:
            raise Ambiguous("framed twice: %r" % message.head)
        if codings and codings != [b"chunked"]:
            raise Ambiguous("a coding that is not chunked: %r" % message.head)
        if lengths and not re.fullmatch(rb"[0-9]{1,19}", lengths[0]):
            raise Ambiguous("not a length: %r" % message.head)
        if self.responses:
            status = int(message.first.group(2))
            method = self.answered(self._finals)
            if status >= 200:
                self._finals += 1
            if method == b"HEAD" or status < 200 or status in (204, 304):
                if codings or (lengths and (status < 200 or status == 204)):
                    raise Ambiguous("framing that announces content: %r" % message.head)
                return ("sized", 0)
        else:
            version = message.first.group(3)
            if len(message.all("host")) > 1 or (version == b"1" and not message.all("host")):
                raise Ambiguous("not one Host: %r" % message.head)
            if version == b"0" and codings:
                raise Ambiguous("chunked in HTTP/1.0: %r" % message.head)
        if codings:
            return ("chunks",)
        if lengths:
            return ("sized", int(lengths[0]))
        return ("close",) if self.responses else ("sized", 0)

    def _body(self):
        message = self.messages[-1]
        if self._parts[0] == "close":
            message.body += self.data
            self.data = b""
            return False
        if self._parts[0] == "sized":
            left = self._parts[1]
            message.body += self.data[:left]
            taken = min(left, len(self.data))
            self.data = self.data[taken:]
            self._parts = ("sized", left - taken)
            message.complete = left == taken
            return message.complete
        return self._chunks(message)

    def _chunks(self, message):
        while self._parts != ("trailers",):
            end = self.data.find(b"\r\n")
            if end < 0:
                return False
            match = _CHUNK.match(self.data[:end + 2])
            if match is None:
                raise Ambiguous("not a chunk size: %r" % self.data[:end + 2])
            size = int(match.group(1), 16)
            if size == 0:
                self.data = self.data[end + 2:]
                self._parts = ("trailers",)
                break
            if len(self.data) < end + 2 + size + 2:
                return False
            if self.data[end + 2 + size:end + 4 + size] != b"\r\n":
                raise Ambiguous("a chunk that does not end: %r" % self.data)
            message.body += self.data[end + 2:end + 2 + size]
            self.data = self.data[end + 4 + size:]
        lines = self._lines() if self.data else None
        if lines is None:
            return False
        message.trailers = self._fields(lines)
        message.complete = True
        return True
