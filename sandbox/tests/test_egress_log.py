import json
import random
import unittest

from kernelbox.egress.access_log import request_event

LINE = b"CONNECT index.example 443 200 TCP_TUNNEL - - 5120 73"


class AccessLogTest(unittest.TestCase):
    def test_tells_what_was_allowed(self):
        self.assertEqual(
            request_event(LINE),
            {
                "event": "request",
                "method": "CONNECT",
                "host": "index.example",
                "port": 443,
                "status": 200,
                "verdict": "allowed",
                "bytes": 5120,
                "duration_ms": 73,
            },
        )

    def test_tells_what_was_refused_and_why(self):
        for page, error, done, reason in (
            ("KB_HOST_NOT_ALLOWED", "ERR_ACCESS_DENIED", "TCP_DENIED", "host_not_allowed"),
            ("KB_PRIVATE_ADDRESS", "ERR_ACCESS_DENIED", "TCP_DENIED", "private_address"),
            ("KB_ADDRESS_LITERAL", "ERR_ACCESS_DENIED", "TCP_DENIED", "address_literal"),
            ("KB_PORT", "ERR_ACCESS_DENIED", "TCP_DENIED", "port"),
            ("-", "ERR_ACCESS_DENIED", "TCP_DENIED", "request"),
            ("-", "ERR_INVALID_URL", "NONE_NONE", "request"),
        ):
            event = request_event(f"GET a.test 80 403 {done} {page} {error} 10 1".encode())
            self.assertEqual((event["verdict"], event["reason"]), ("refused", reason))

    def test_a_host_that_is_not_there_was_not_refused(self):
        for page, error in (("KB_UNKNOWN_NAME", "ERR_ACCESS_DENIED"), ("-", "ERR_CONNECT_FAIL"), ("-", "ERR_DNS_FAIL")):
            event = request_event(f"GET a.test 80 503 TCP_MISS {page} {error} 10 1".encode())
            self.assertEqual((event["verdict"], "reason" in event), ("allowed", False))

    def test_a_connection_without_a_request_is_nothing(self):
        for line in (b"- - - 0 NONE_NONE - - 0 3", b"", b"some warning", LINE + b" more", b"x" * 100_000):
            self.assertIsNone(request_event(line))

    def test_text_is_bounded_and_printable_whatever_it_is(self):
        random.seed(5)
        pieces = [
            b"%00",
            b"%0a",
            b"%1b[31m",
            b"%ff%fe",
            b"%e2%80%ae",
            b'"',
            b"\\",
            b"%",
            b"%zz",
            b"\xff",
            b"a",
            b"x" * 300,
            b"-",
            b"%22,%22",
            b"\r",
            b"\x00",
        ]
        for _ in range(5_000):
            fields = [b"".join(random.choices(pieces, k=random.randint(1, 6))) for _ in range(9)]
            event = request_event(b" ".join(fields))
            if event is None:
                continue
            self.assertRegex(event["method"], r"\A[\x21-\x7e]{0,32}\Z")
            self.assertRegex(event["host"], r"\A[\x21-\x7e]{0,255}\Z")
            self.assertLess(len(json.dumps(event)), 1_000)
            for name in ("port", "status", "bytes", "duration_ms"):
                self.assertIsInstance(event[name], int)
                self.assertLess(event[name], 10**15)
