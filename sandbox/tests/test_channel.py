import asyncio
import json
import os
import time
import unittest
from unittest import mock

from kernelbox import frames, limits
from kernelbox.channel import Channel
from kernelbox.errors import RequestError
from kernelbox.lease import Lease

NONCE = "0123456789abcdef0123456789abcdef"


class ChannelTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        in_read, self.to = os.pipe()
        self.out, out_write = os.pipe()
        os.set_blocking(self.out, False)
        self.attached = 0
        self.calls = []
        self.decoder = frames.Decoder()
        self.lease = Lease(lambda: None)
        self.channel = Channel(
            asyncio.get_running_loop(),
            in_read,
            out_write,
            handler=self.handle,
            hello=lambda: {"boot_id": "b"},
            on_attach=self.count,
            lease=self.lease,
        )

    def count(self):
        self.attached += 1

    async def handle(self, method, params, transfer):
        self.calls.append(method)
        if method == "fail":
            raise RequestError("busy", "no")
        if method == "bug":
            raise RuntimeError("x")
        if method == "slow":
            await asyncio.sleep(10)
        return {"echo": params}

    def send(self, kind, stream=0, payload=b""):
        os.write(self.to, frames.encode(kind, stream, payload))

    def attach(self, epoch, **more):
        self.send(frames.ATTACH, 0, json.dumps({"protocol": 1, "epoch": epoch, "nonce": NONCE, "lease_s": 30, **more}).encode())

    def request(self, method, stream, params=None):
        self.send(frames.REQUEST, stream, json.dumps({"method": method, "params": params or {}}).encode())

    async def receive(self, wait_s=0.1):
        await asyncio.sleep(wait_s)
        found = []
        while True:
            try:
                found += self.decoder.push(os.read(self.out, 1_000_000))
            except BlockingIOError:
                return found

    async def test_says_hello_to_a_greater_epoch_only_and_serves_nobody_before(self):
        self.request("early", 1)
        self.assertEqual(await self.receive(), [])
        self.attach(5)
        (hello,) = await self.receive()
        self.assertEqual((hello.kind, hello.payload[:16].hex()), (frames.HELLO, NONCE))
        self.assertEqual(json.loads(hello.payload[16:])["epoch"], 5)
        self.attach(5)
        self.attach(4)
        self.assertEqual(await self.receive(), [])
        self.attach(6)
        self.assertEqual([frame.kind for frame in await self.receive()], [frames.HELLO])
        self.assertEqual(self.calls, [])

    async def test_tells_another_protocol_its_own_and_serves_it_nothing(self):
        self.attach(1, protocol=99)
        (hello,) = await self.receive()
        self.assertEqual(json.loads(hello.payload[16:])["protocol"], limits.PROTOCOL_VERSION)
        self.request("x", 1)
        self.assertEqual(await self.receive(), [])

    async def test_answers_requests_side_by_side_and_every_failure(self):
        self.attach(1)
        await self.receive()
        self.request("slow", 1)
        self.request("quick", 2, {"a": 1})
        self.request("fail", 3)
        self.request("bug", 4)
        self.send(frames.REQUEST, 5, b"{not json")
        answers = {frame.stream: json.loads(frame.payload) for frame in await self.receive()}
        self.assertEqual(answers[2], {"result": {"echo": {"a": 1}}})
        self.assertEqual([answers[n]["error"]["code"] for n in (3, 4, 5)], ["busy", "internal", "invalid_argument"])
        self.assertNotIn(1, answers)
        self.send(frames.ABORT, 1)
        (aborted,) = await self.receive()
        self.assertEqual(json.loads(aborted.payload)["error"]["code"], "cancelled")

    async def test_a_request_of_several_frames_with_others_between(self):
        self.attach(1)
        await self.receive()
        text = "x" * (2 * limits.FRAME_BYTES)
        parts = frames.encode_message(frames.REQUEST, 7, json.dumps({"method": "long", "params": {"t": text}}).encode())
        os.set_blocking(self.to, False)
        for n, part in enumerate(parts):
            for at in range(0, len(part), 32_768):
                os.write(self.to, part[at : at + 32_768])
                await asyncio.sleep(0.005)
            if n == 0:
                self.request("between", 8)
        found = []
        while not any(frame.stream == 7 and not frame.has_more for frame in found):
            found += await self.receive(0.005)
        self.assertEqual(self.calls, ["between", "long"])
        long = b"".join(frame.payload for frame in found if frame.stream == 7)
        self.assertEqual(len(json.loads(long)["result"]["echo"]["t"]), len(text))

    async def test_a_new_server_ends_the_requests_of_the_old_one(self):
        self.attach(1)
        await self.receive()
        self.request("slow", 1)
        await asyncio.sleep(0.05)
        self.attach(2)
        self.assertEqual([frame.kind for frame in await self.receive()], [frames.HELLO])
        self.assertEqual(self.channel._requests, {})
        self.assertEqual(self.attached, 2)

    async def test_pings_are_answered(self):
        self.attach(1)
        await self.receive()
        self.send(frames.PING, 0, b"12345678")
        (pong,) = await self.receive()
        self.assertEqual((pong.kind, pong.payload), (frames.PONG, b"12345678"))

    async def test_any_frame_of_the_server_renews_the_lease_and_no_other_does(self):
        with mock.patch.object(self.lease, "renew") as renew, mock.patch.object(self.lease, "set") as set_lease:
            self.send(frames.PING, 0, bytes(8))
            await self.receive()
            self.assertFalse(renew.called)
            self.attach(1, lease_s=7)
            await self.receive()
            set_lease.assert_called_once_with(7.0)
            self.send(frames.PING, 0, bytes(8))
            await self.receive()
            self.assertTrue(renew.called)

    async def test_a_request_that_is_given_up_before_it_began_is_answered_and_forgotten(self):
        self.attach(1)
        await self.receive()
        with mock.patch.object(limits, "OPEN_REQUESTS", 5):
            for stream in range(1, 9):
                request = frames.encode(frames.REQUEST, stream, json.dumps({"method": "slow"}).encode())
                os.write(self.to, request + frames.encode(frames.ABORT, stream))
                (answer,) = await self.receive(0.02)
                self.assertEqual(json.loads(answer.payload)["error"]["code"], "cancelled")
        self.assertEqual(self.channel._requests, {})

    async def test_never_blocks_on_a_server_that_does_not_read(self):
        self.attach(1)
        await self.receive()
        for n in range(64):
            self.channel.send_event(bytes(200_000), hold=True)
        begun = time.monotonic()
        self.send(frames.PING, 0, b"abcdefgh")
        await asyncio.sleep(0.05)
        self.assertLess(time.monotonic() - begun, 1)
        found = []
        while len(found) < 65:
            found += await self.receive(0.005)
        # Control goes first: what was begun is ended, then the pong, then the rest.
        self.assertLess([frame.kind for frame in found].index(frames.PONG), 8)
