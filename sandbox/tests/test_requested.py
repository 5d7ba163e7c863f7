"""The names that the server takes and refuses, as the fetcher and the installer see them: test/unit/packages has the server's part."""

import json
import os
import unittest

from kernelbox import limits
from kernelbox.fetcher.failure import FetchError
from kernelbox.fetcher.request import Request
from kernelbox.installing.distributions import parsed

with open(os.path.join(os.path.dirname(__file__), "requested.json"), encoding="utf-8") as table:
    CASES = json.load(table)


def asked(manager, package):
    bounds = {"max_bytes": limits.MIB, "cache_bytes": limits.MIB, "timeout_s": 1}
    return Request.parse(json.dumps({"manager": manager, "packages": [package], **bounds}).encode())


class Requested(unittest.TestCase):
    def test_what_the_server_takes_is_taken(self):
        for manager, cases in CASES.items():
            for package in cases["good"].values():
                with self.subTest(package):
                    self.assertEqual(asked(manager, package).packages, [package])
        self.assertEqual([str(each.name) for each in parsed(list(CASES["pip"]["good"].values()))][:2], ["numpy", "A"])

    def test_what_could_be_an_address_a_path_or_a_flag_is_refused_here_as_well(self):
        # The rest, such as "a==", is for packaging and Deno to refuse.
        dangerous = [
            package for package in CASES["pip"]["bad"] if set(package) & set("/@:;#$\n\0") or package.startswith(("-", ".")) or package == ""
        ]
        archives = [package for package in CASES["pip"]["bad"] if any(end in package.lower() for end in (".zip", ".whl", ".t"))]
        self.assertGreater(len(archives), 15)
        for package in [*dangerous, *archives]:
            with self.subTest(package), self.assertRaises(FetchError) as caught:
                asked("pip", package)
            self.assertEqual(caught.exception.code, "invalid")
