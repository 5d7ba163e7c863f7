import threading
import time
import unittest
from unittest import mock

from kernelbox import limits
from kernelbox.lease import Lease


class LeaseTest(unittest.TestCase):
    def test_ends_once_nobody_was_heard_for_its_time_whatever_the_event_loop_does(self):
        ended = threading.Event()
        with mock.patch.object(limits, "TICK_S", 0.05):
            lease = Lease(ended.set)
            lease.set(1)
            lease.watch()
            for _ in range(8):
                time.sleep(0.2)
                lease.renew()
            self.assertFalse(ended.is_set())
            begun = time.monotonic()
            self.assertTrue(ended.wait(5))
            self.assertGreater(time.monotonic() - begun, 0.7)

    def test_is_bounded_and_has_a_first_time_of_its_own(self):
        begun = time.monotonic()
        lease = Lease(lambda: None)
        for seconds, lasts in ((None, limits.FIRST_LEASE_S), (1e9, limits.LEASE_S_MAX), (0, 1)):
            if seconds is not None:
                lease.set(seconds)
            for after, is_over in ((lasts - 0.5, False), (lasts + 0.5, True)):
                lease._ticked = begun + after
                with mock.patch("kernelbox.lease.time.monotonic", return_value=begun + after):
                    self.assertEqual(lease.tick(), is_over, (seconds, after))

    def test_a_machine_that_slept_grants_one_lease_more_and_no_second_one(self):
        lease = Lease(lambda: None)
        lease.set(2)
        late = time.monotonic() + 1_000
        for after, is_over in ((0, False), (1_000, True)):
            with mock.patch("kernelbox.lease.time.monotonic", return_value=late + after):
                self.assertEqual(lease.tick(), is_over)
