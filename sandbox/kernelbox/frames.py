"""Frames of the channel: docs/channel-protocol.md is the contract."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from . import limits

ATTACH = 1
HELLO = 2
REQUEST = 3
RESPONSE = 4
EVENT = 5
DATA = 6
END = 7
CREDIT = 8
ABORT = 9
PING = 10
PONG = 11

MAGIC = 0x4B
MORE = 0x80
HEADER = struct.Struct(">BBII")


@dataclass(frozen=True, slots=True)
class Frame:
    kind: int
    stream: int
    payload: bytes
    has_more: bool = False


def encode(kind: int, stream: int, payload: bytes | memoryview = b"") -> bytes:
    return HEADER.pack(MAGIC, kind, stream, len(payload)) + payload


def encode_message(kind: int, stream: int, payload: bytes) -> list[bytes]:
    """One message as frames, cut where it is longer than a frame may be."""
    if len(payload) <= limits.FRAME_BYTES:
        return [encode(kind, stream, payload)]
    view = memoryview(payload)
    starts = range(0, len(payload), limits.FRAME_BYTES)
    last = starts[-1]
    return [encode(kind if at == last else kind | MORE, stream, view[at : at + limits.FRAME_BYTES]) for at in starts]


class Decoder:
    """Cuts the server's bytes into frames.

    A server may be killed in mid-frame, and the next one writes zeros before its own attach. So zeros between frames are skipped, and what is no
    frame is dropped byte by byte until one begins.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def push(self, chunk: bytes) -> Iterator[Frame]:
        self._buffer += chunk
        at = 0
        buffer = self._buffer
        while True:
            begins = buffer.find(MAGIC, at)
            at = len(buffer) if begins == -1 else begins
            if len(buffer) - at < HEADER.size:
                break
            _, kind_byte, stream, length = HEADER.unpack_from(buffer, at)
            kind = kind_byte & ~MORE
            if not ATTACH <= kind <= PONG or length > limits.FRAME_BYTES:
                at += 1
                continue
            end = at + HEADER.size + length
            if len(buffer) < end:
                break
            yield Frame(kind, stream, bytes(buffer[at + HEADER.size : end]), bool(kind_byte & MORE))
            at = end
        del buffer[:at]
