import os
import random
import unittest

from kernelbox import frames, limits


def decode(stream: bytes, sizes) -> list[frames.Frame]:
    decoder = frames.Decoder()
    found = []
    at = 0
    while at < len(stream):
        size = next(sizes)
        found += decoder.push(stream[at : at + size])
        at += size
    return found


def always(size):
    while True:
        yield size


def randomly():
    while True:
        yield random.randint(1, 5_000)


class Frames(unittest.TestCase):
    def test_come_out_as_they_went_in_however_cut(self):
        payloads = [os.urandom(size) for size in (0, 1, 9, 10, 1_000, limits.FRAME_BYTES)]
        stream = b"".join(frames.encode(kind, n, payload) for n, payload in enumerate(payloads) for kind in (frames.REQUEST, frames.DATA))
        for sizes in (always(1), always(7), always(65_536), randomly()):
            found = decode(stream, sizes)
            self.assertEqual([frame.payload for frame in found if frame.kind == frames.REQUEST], payloads)
            data = [b"".join(frame.payload for frame in found if (frame.kind, frame.stream) == (frames.DATA, n)) for n in range(len(payloads))]
            self.assertEqual(data, payloads)
            self.assertEqual([frame.stream for frame in found], sorted(frame.stream for frame in found))

    def test_data_is_handed_on_before_its_frame_is_whole(self):
        decoder = frames.Decoder()
        whole = frames.encode(frames.DATA, 5, b"abcdef")
        found = [*decoder.push(whole[:12]), *decoder.push(whole[12:])]
        self.assertEqual([(frame.stream, frame.payload) for frame in found], [(5, b"ab"), (5, b"cdef")])

    def test_a_half_written_frame_is_ended_by_zeros_and_the_next_one_is_whole(self):
        whole = frames.encode(frames.DATA, 1, os.urandom(limits.FRAME_BYTES))
        attach = frames.encode(frames.ATTACH, 0, b"{}")
        padding = bytes(limits.FRAME_BYTES + frames.HEADER.size)
        for cut in (0, 1, 5, 9, 10, 11, 5_000, len(whole) - 1):
            with self.subTest(cut=cut):
                found = decode(whole[:cut] + padding + attach, always(65_536))
                self.assertEqual(found[-1], frames.Frame(frames.ATTACH, 0, b"{}"))

    def test_what_is_no_frame_is_skipped(self):
        ping = frames.encode(frames.PING, 0, b"12345678")
        for noise in (b"hello", bytes([0x4B, 99]) + bytes(8), frames.HEADER.pack(0x4B, frames.DATA, 1, limits.FRAME_BYTES + 1)):
            with self.subTest(noise=noise):
                self.assertEqual([frame.kind for frame in decode(noise + ping, always(1_000))], [frames.PING])

    def test_a_long_message_is_cut_and_marked(self):
        payload = os.urandom(2 * limits.FRAME_BYTES + 1)
        parts = frames.encode_message(frames.EVENT, 0, payload)
        found = decode(b"".join(parts), always(65_536))
        self.assertEqual([frame.has_more for frame in found], [True, True, False])
        self.assertEqual(b"".join(frame.payload for frame in found), payload)
