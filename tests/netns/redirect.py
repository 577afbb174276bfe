"""REDIRECT rules for the network namespace that this process is in, told to the kernel by netlink: no tool is needed.

As `nft` would be told:
  table ip t { chain c { type nat hook output priority -100; ip saddr FROM meta l4proto tcp redirect to :PORT } }
"""

import os
import socket
import struct

_NETFILTER, _NFTABLES = 12, 10  # NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES
_BEGIN, _END, _NEW_TABLE, _NEW_CHAIN, _NEW_RULE = 0x10, 0x11, 0xA00, 0xA03, 0xA06
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
_LOCAL_OUT, _DSTNAT = 3, -100


def _attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _text(kind, text):
    return _attribute(kind, text.encode() + b"\0")


def _number(kind, number):
    return _attribute(kind, struct.pack("!I", number & 0xFFFFFFFF))


def _nest(kind, *parts):
    return _attribute(kind | 0x8000, b"".join(parts))


def _expression(name, *parts):
    return _nest(1, _text(1, name), _nest(2, *parts))


def _compare(value):
    return _expression("cmp", _number(1, 1), _number(2, 0), _nest(3, _attribute(1, value)))


def _message(kind, flags, number, family, resource, body):
    data = struct.pack("=BBH", family, 0, socket.htons(resource)) + body
    return struct.pack("=IHHII", 16 + len(data), kind, _REQUEST | flags, number, 0) + data


def redirect(source, port):
    """From now on connections from `source`, an address of this machine, to wherever reach its port `port`. Raises
    OSError where the kernel cannot do it."""
    family, af = (10, socket.AF_INET6) if ":" in source else (2, socket.AF_INET)  # NFPROTO_...
    address = socket.inet_pton(af, source)
    offset = 8 if family == 10 else 12  # of the source in an IP header
    rule = _nest(
        4,
        _expression("payload", _number(1, 1), _number(2, 1), _number(3, offset), _number(4, len(address))),
        _compare(address),
        _expression("meta", _number(1, 1), _number(2, 16)),  # the transport
        _compare(bytes([socket.IPPROTO_TCP])),
        _expression("immediate", _number(1, 1), _nest(2, _attribute(1, struct.pack("!H", port)))),
        _expression("redir", _number(1, 1)))
    hook = _nest(4, _number(1, _LOCAL_OUT), _number(2, _DSTNAT))
    bodies = [(_NEW_TABLE, _CREATE, _text(1, "t")),
              (_NEW_CHAIN, _CREATE, _text(1, "t") + _text(3, "c") + hook + _text(7, "nat")),
              (_NEW_RULE, _CREATE | _APPEND, _text(1, "t") + _text(2, "c") + rule)]
    batch = _message(_BEGIN, 0, 0, 0, _NFTABLES, b"")
    for number, (kind, flags, body) in enumerate(bodies, 1):
        batch += _message(kind, flags | _ACK, number, family, 0, body)
    batch += _message(_END, 0, len(bodies) + 1, 0, _NFTABLES, b"")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as kernel:
        kernel.settimeout(20)
        kernel.bind((0, 0))
        kernel.send(batch)
        answered = 0
        while answered < len(bodies):
            data = kernel.recv(65536)
            while data:
                size, kind = struct.unpack_from("=IH", data)
                if kind == 2:  # NLMSG_ERROR; 0 is an acknowledgement
                    error, = struct.unpack_from("=i", data, 16)
                    if error:
                        raise OSError(-error, os.strerror(-error))
                    answered += 1
                data = data[(size + 3) & ~3:]
