import ipaddress
import json
import random
import re
import unittest

from kernelbox import limits
from kernelbox.egress.configuration import configuration
from kernelbox.egress.host_names import host_rule
from kernelbox.egress.policy import PolicyError, parse_policy
from kernelbox.egress.refused_networks import refused_networks


def policy(**changed):
    value = {"mode": "allowlist", "hosts": ["index.example", "*.example.com"], "denied": ["192.0.2.2"], "listen": "198.18.7.2:3128"}
    return json.dumps({**value, **changed}).encode()


# Each is an address to some reader of addresses, or none at all, or more than a name.
NO_NAMES = [
    *("127.0.0.1", "127.1", "127.0.0.1.", "2130706433", "017700000001", "0x7f000001", "0x7F.1", "0X7F.0.0.1", "0", "0x", "1.2.3.4.5", "a.b.1", "*.1"),
    *("[::1]", "::1", "::ffff:127.0.0.1", "[::ffff:7f00:1]", "fe80::1%eth0", "x.0x7f"),
    *("", ".", "..", "*", "*.", "*.*.example.com", "a.*.com", "**.com", "a*.com", ".example.com", "example.com.", "a..b", "-a.com", "a-.com"),
    *(
        "example.com:443",
        "http://example.com",
        "example.com/",
        "a@b.com",
        "a b.com",
        "a\nb.com",
        "a.com\n",
        "a.com\r",
        "a.com\x00",
        "\ta.com",
        "a.com #",
    ),
    *(
        '"a.com"',
        "a.com\\",
        "${a}.com",
        "!a.com",
        "a,b.com",
        "bücher.de",
        "①②.com",
        "İ.com",
        "ſ.com",
        "\u212a.com",
        "x" * 64 + ".com",
        "a." * 127 + "com",
    ),
    *(None, 5, True, ["a.com"], {"a": 1}),
]
NAMES = [
    "index.example",
    "*.example.com",
    "xn--bcher-kva.de",
    "a",
    "localhost",
    "_dmarc.example.com",
    "1password.com",
    "4.example.com",
    "0x7f.com",
    "x" * 63 + ".com",
]


class HostNamesTest(unittest.TestCase):
    def test_names_are_taken_in_lower_case(self):
        for name in NAMES:
            self.assertEqual(host_rule(name), name)
            self.assertEqual(host_rule(name.upper()), name)

    def test_nothing_else_is_a_name(self):
        for text in NO_NAMES:
            with self.subTest(text=text), self.assertRaises(ValueError):
                host_rule(text)

    def test_no_address_in_any_spelling_is_a_name(self):
        random.seed(7)
        for _ in range(2_000):
            number = random.getrandbits(32)
            for spelling in spellings(number):
                with self.subTest(spelling=spelling), self.assertRaises(ValueError):
                    host_rule(spelling)

    def test_what_is_taken_consists_of_harmless_characters_whatever_is_tried(self):
        random.seed(11)
        characters = "ab0-_.*:/[]\\\"'# \t\n\r\x00%@!|${}^+?,;é１．"
        taken = 0
        for _ in range(50_000):
            text = "".join(random.choices(characters, weights=[20, 20, 5, 3, 2, 10, 2] + [0.3] * (len(characters) - 7), k=random.randint(1, 8)))
            try:
                rule = host_rule(text)
            except ValueError:
                continue
            taken += 1
            self.assertRegex(rule, r"\A(\*\.)?[a-z0-9_][a-z0-9_.-]*\Z")
            self.assertNotIn("..", rule)
        self.assertGreater(taken, 1_000)


def spellings(number):
    """What inet_aton takes for an address: one to four parts, each in one of three bases."""
    bases = (str, hex, lambda part: f"0{part:o}")
    for parts in range(1, 5):
        values = [number >> (24 - 8 * index) & 255 for index in range(parts - 1)]
        values.append(number & ((1 << (8 * (5 - parts))) - 1))
        yield ".".join(random.choice(bases)(value) for value in values)
    yield f"::ffff:{ipaddress.IPv4Address(number)}"
    yield f"[::ffff:{number >> 16:x}:{number & 0xFFFF:x}]"


class RefusedNetworksTest(unittest.TestCase):
    def refuses(self, address, more=()):
        value = ipaddress.ip_address(address)
        return any(value in network for network in refused_networks([ipaddress.ip_network(text) for text in more]))

    def test_no_address_that_is_not_global_is_left_but_those_for_documentation(self):
        random.seed(3)
        documentation = [ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
        wanted = [ipaddress.IPv4Address(random.getrandbits(32)) for _ in range(20_000)]
        # Python knows the registries' special networks; those of IPv4 are met by chance, those of IPv6 hardly.
        wanted += [ipaddress.IPv6Address(random.getrandbits(128)) for _ in range(2_000)]
        wanted += [ipaddress.IPv6Address(0x2001 << 112 | random.getrandbits(112)) for _ in range(2_000)]
        refused = refused_networks([])
        for address in wanted:
            if any(address in network for network in documentation if network.version == address.version):
                continue
            mapped = address.version == 6 and address.ipv4_mapped is not None
            if not address.is_global and not mapped:
                self.assertTrue(any(address in network for network in refused), address)
        for address in (
            "127.0.0.1",
            "169.254.169.254",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.7.2",
            "198.19.255.255",
        ):
            self.assertTrue(self.refuses(address), address)
        for address in ("0.0.0.0", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.0.0.170", "192.88.99.1"):
            self.assertTrue(self.refuses(address), address)
        for address in (
            "::",
            "::1",
            "fc00::1",
            "fd00::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:a9fe:a9fe::",
        ):
            self.assertTrue(self.refuses(address), address)
        for address in ("::127.0.0.1", "::ffff:0:127.0.0.1", "2001::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1", "4000::1"):
            self.assertTrue(self.refuses(address), address)

    def test_public_addresses_are_left(self):
        for address in (
            "1.1.1.1",
            "8.8.8.8",
            "172.15.255.255",
            "172.32.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.113.7",
            "198.51.100.7",
            "223.255.255.255",
        ):
            self.assertFalse(self.refuses(address), address)
        for address in ("2606:4700::1111", "2a00:1450:4001::1", "2620:fe::fe", "2001:4860:4860::8888"):
            self.assertFalse(self.refuses(address), address)

    def test_what_squid_takes_for_ipv4_is_left_to_the_rules_for_ipv4(self):
        # A network of IPv6 that held it would refuse all of IPv4.
        mapped = ipaddress.ip_network("::ffff:0:0/96")
        self.assertFalse(any(network.overlaps(mapped) for network in refused_networks([]) if network.version == 6))
        for text in ("::/0", "::ffff:1.2.3.4", "::ffff:0:0/80"):
            with self.assertRaises(ValueError):
                refused_networks([ipaddress.ip_network(text, strict=False)])

    def test_none_is_within_another_whatever_is_added(self):
        more = ["10.1.0.0/16", "1.2.3.4", "1.2.3.0/24", "1.2.2.0/24", "2a00::/16", "2a00:1::/32", "fe80::1", "0.0.0.0/1"]
        networks = refused_networks([ipaddress.ip_network(text) for text in more])
        for index, network in enumerate(networks):
            self.assertFalse(any(network.version == other.version and network.overlaps(other) for other in networks[:index]), network)
        self.assertTrue(self.refuses("1.2.3.77", more))
        self.assertTrue(self.refuses("2a00:1::7", more))


class PolicyTest(unittest.TestCase):
    def test_takes_what_the_server_sends(self):
        taken = parse_policy(policy(hosts=["Index.Example", "index.example", "*.example.com"]))
        self.assertEqual((taken.mode, taken.hosts, taken.listen), ("allowlist", ("*.example.com", "index.example"), "198.18.7.2:3128"))
        self.assertIn(ipaddress.ip_network("192.0.2.2"), taken.refused)
        self.assertEqual(parse_policy(policy(mode="open", hosts=[])).mode, "open")

    def test_refuses_everything_else_with_a_reason(self):
        wrong = [
            *(
                b"",
                b"{",
                b"[]",
                b"null",
                b"\xff\xfe",
                b"[" * 100_000,
                b"{}",
                policy(more=1),
                policy(mode="none"),
                policy(mode=["open"]),
                policy(mode=None),
            ),
            *(
                policy(hosts=hosts)
                for hosts in ("index.example", None, {}, [[]], ["a.com"] * (limits.EGRESS_ENTRIES + 1), ["a.com\nhttp_access allow all"])
            ),
            *(policy(hosts=[text]) for text in NO_NAMES),
            *(
                policy(denied=[text])
                for text in ("", "x", 5, None, "1.2.3.4/33", "1.2.3.4/8", "1.2.3.4 all", "fe80::1%eth0", "::/0", "all", "1.2.3.4\n")
            ),
            *(policy(denied=denied) for denied in ("1.2.3.4", None, ["1.2.3.4"] * (limits.EGRESS_ENTRIES + 1))),
            *(
                policy(listen=text)
                for text in ("", "3128", "1.2.3.4", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:٣", "[::1]:80", "a.com:80", 5, None)
            ),
            *(policy(listen=text) for text in ("1.2.3.4:80 intercept", "1.2.3.4:80\n", "01.2.3.4:80", "1.2.3.4:+80")),
        ]
        for line in wrong:
            with self.subTest(line=line[:80]), self.assertRaises(PolicyError) as raised:
                parse_policy(line)
            self.assertTrue(str(raised.exception))


class ConfigurationTest(unittest.TestCase):
    def words(self, **changed):
        return configuration(parse_policy(policy(**changed)), "/tmp/x").splitlines()

    def test_an_allowlist_takes_names_whole_and_what_is_below_them_by_a_pattern(self):
        lines = self.words(hosts=["index.example", "*.a-b.example.com"])
        self.assertIn("acl allowed_name dstdomain -n index.example", lines)
        pattern = next(line for line in lines if line.startswith("acl allowed_below")).split(" ")[-1]
        for name, is_below in (("x.a-b.example.com", True), ("x.y.a-b.example.com", True), ("a-b.example.com", False), ("xa-b.example.com", False)):
            self.assertEqual(re.search(pattern, name) is not None, is_below, name)
        self.assertIsNone(re.search(pattern, "x.a-bxexample.com"))
        self.assertIn("http_access deny !allowed_name !allowed_below KB_HOST_NOT_ALLOWED", lines)

    def test_an_empty_allowlist_allows_nothing(self):
        self.assertIn("http_access deny KB_HOST_NOT_ALLOWED", self.words(hosts=[]))

    def test_addresses_are_judged_before_anything_is_allowed_and_again_before_a_connection(self):
        for mode in ("allowlist", "open"):
            rules = [line for line in self.words(mode=mode) if line.startswith(("http_access", "miss_access"))]
            self.assertEqual(sum(" allow " in rule for rule in rules), 2)
            for access in ("http_access", "miss_access"):
                wanted = [f"{access} deny refused_address KB_PRIVATE_ADDRESS", f"{access} deny !resolved KB_UNKNOWN_NAME", f"{access} allow all"]
                self.assertEqual([rule for rule in rules if rule.startswith(access)][-3:], wanted)
