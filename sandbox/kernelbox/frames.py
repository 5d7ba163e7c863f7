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
    """Cuts the server's bytes into frames; those of data come as they arrive, in pieces, since nobody needs them whole.

    A server may be killed in mid-frame, and the next one writes zeros before its own attach. So zeros between frames are skipped, and what is no
    frame is dropped byte by byte until one begins.
    """

    def __init__(self) -> None:
        # The beginning of a frame, and how much of it must be here before it is looked at again.
        self._held = bytearray()
        self._needed = 0
        # What is still to come of a frame of data.
        self._data_left = 0
        self._data_stream = 0

    def push(self, chunk: bytes) -> Iterator[Frame]:
        if self._held:
            self._held += chunk
            if len(self._held) < self._needed:
                return
            chunk = bytes(self._held)
            self._held.clear()
        at = 0
        while True:
            if self._data_left:
                piece = chunk[at : at + self._data_left]
                if not piece:
                    return
                at += len(piece)
                self._data_left -= len(piece)
                yield Frame(DATA, self._data_stream, piece)
                continue
            begins = chunk.find(MAGIC, at)
            at = len(chunk) if begins == -1 else begins
            self._needed = HEADER.size
            if len(chunk) - at < self._needed:
                break
            _, kind_byte, stream, length = HEADER.unpack_from(chunk, at)
            kind = kind_byte & ~MORE
            if not ATTACH <= kind <= PONG or length > limits.FRAME_BYTES:
                at += 1
                continue
            if kind == DATA:
                self._data_left, self._data_stream = length, stream
                at += HEADER.size
                continue
            self._needed += length
            if len(chunk) - at < self._needed:
                break
            yield Frame(kind, stream, chunk[at + HEADER.size : at + self._needed], bool(kind_byte & MORE))
            at += self._needed
        self._held += chunk[at:]
