import unittest

from kernelbox import limits
from kernelbox.change_log import ChangeLog


class ChangeLogTest(unittest.TestCase):
    def told(self, log, since):
        return {one["path"]: one["change"] for one in log.take(since)["changes"]}

    def test_what_came_and_went_untold_is_not_told(self):
        log = ChangeLog()
        log.lose()
        log.add(b"a", "created")
        log.add(b"a", "removed")
        log.add(b"b", "removed")
        log.add(b"b", "created")
        self.assertEqual(self.told(log, 1), {"b": "modified"})
        log.add(b"c", "created")
        self.assertEqual(self.told(log, 1), {"b": "modified", "c": "created"})
        # Told already: it may have arrived, or not.
        log.add(b"c", "removed")
        self.assertEqual(self.told(log, 1), {"b": "modified", "c": "removed"})
        log.add(b"c", "created")
        self.assertEqual(self.told(log, 1), {"b": "modified", "c": "created"})

    def test_keeps_to_its_bytes(self):
        log = ChangeLog()
        log.lose()
        since = log.last
        path = b"x" * 4_000
        for n in range(limits.WATCH_CHANGES_BYTES // 4_000 + 1):
            log.add(path + str(n).encode(), "created")
        self.assertFalse(log.take(since)["is_complete"])
        self.assertTrue(log.take(log.last)["is_complete"])

    def test_a_number_that_is_not_its_own_is_not_complete(self):
        self.assertFalse(ChangeLog().take(7)["is_complete"])


if __name__ == "__main__":
    unittest.main()
