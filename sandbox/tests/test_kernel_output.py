import asyncio
import os
import types
import unittest

from kernelbox.kernel import Kernel
from kernelbox.kernel_client import Message
from kernelbox.process_output import ProcessOutput


class KernelOutputTest(unittest.TestCase):
    def test_what_the_process_wrote_comes_before_the_end_though_the_loop_has_not_read_it(self):
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        output = ProcessOutput()
        self.addCleanup(output.close)
        # Without its process and its sockets: what matters is which of the two ways is read first.
        kernel = Kernel.__new__(Kernel)
        told = []
        kernel._process = types.SimpleNamespace(output=output)
        kernel._settling = None
        kernel._info_replied = False
        kernel._message_id = "m"
        kernel._on_output = told.append
        output.listen(loop, kernel._written)
        os.write(output.ends[0], b"last")
        kernel._output(Message("status", "m", {"execution_state": "idle"}, {}))
        self.assertEqual([(message.kind, message.parent_id) for message in told], [("stream", "m"), ("status", "m")])
        self.assertEqual(told[0].content, {"name": "stdout", "text": "last"})
