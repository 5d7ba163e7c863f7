import asyncio
import os
import unittest

from kernelbox import limits
from kernelbox.process_output import ProcessOutput


class ProcessOutputTest(unittest.TestCase):
    def setUp(self):
        self.loop = asyncio.new_event_loop()
        self.output = ProcessOutput()
        self.stdout, self.stderr = map(os.dup, self.output.ends)
        self.output.started()
        self.said = []
        self.output.listen(self.loop, lambda name, text: self.said.append((name, text)))

    def tearDown(self):
        self.output.close()
        self.loop.close()

    def turn(self, seconds=0.02):
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def text(self, name):
        return "".join(text for each, text in self.said if each == name)

    def test_tells_the_two_apart_and_joins_characters_that_were_cut(self):
        for byte in "ü€".encode():
            os.write(self.stdout, bytes([byte]))
            self.turn()
        os.write(self.stderr, b"e")
        self.turn()
        self.assertEqual((self.text("stdout"), self.text("stderr")), ("ü€", "e"))
        os.write(self.stdout, "€".encode()[:1])
        os.close(self.stdout)
        self.turn()
        self.assertEqual(self.text("stdout"), "ü€\ufffd")

    def test_a_reader_that_pauses_stops_the_writer(self):
        self.output.pause()
        os.set_blocking(self.stdout, False)
        written = 0
        with self.assertRaises(BlockingIOError):
            while written < 100 * 1024 * 1024:
                written += os.write(self.stdout, b"x" * 65_536)
        self.turn()
        self.assertEqual(self.said, [])
        self.output.resume()
        self.turn()
        self.assertEqual(len(self.text("stdout")), written)

    def test_a_drain_takes_what_is_there_and_not_more_than_a_pipe_holds(self):
        self.output.pause()
        os.write(self.stdout, b"last")
        self.output.drain()
        self.assertEqual(self.text("stdout"), "last")
        refilled = 0

        def refill(name, text):
            nonlocal refilled
            refilled += len(text)
            os.write(self.stdout, b"y" * len(text))

        self.output.listen(self.loop, refill)
        self.output.pause()
        os.write(self.stdout, b"y" * 4_096)
        self.output.drain()
        self.assertGreater(refilled, 4_096)
        self.assertLessEqual(refilled, 2 * 1024 * 1024)

    def test_keeps_the_last_words_and_no_more(self):
        os.write(self.stderr, b"a" * 10_000 + b"why it ended")
        self.turn()
        self.assertTrue(self.output.last_words().endswith("why it ended"))
        self.assertEqual(len(self.output.last_words()), limits.LAST_WORDS_BYTES)
