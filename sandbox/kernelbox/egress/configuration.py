"""squid's configuration for a policy. Each line is here for a reason: docs/decisions/0016-network.md."""

import re

from .. import limits
from . import refusals
from .policy import Policy

# One line a request, for access_log.py: method, host and port as squid understood them, status, what squid did, our page, its own error, bytes,
# milliseconds.
LOG_FORMAT = "%#rm %#>rd %>rP %>Hs %Ss %{page}note %err_code %<st %tr"
LOG_FIELDS = 9

_FIXED = f"""
visible_hostname kernelbox
pid_filename none
cache_log /dev/null
mime_table /opt/squid/mime.conf
# Looked for at the start, and never run without a cache on a disk.
unlinkd_program /bin/true
coredump_dir none
shutdown_lifetime 0 seconds
pinger_enable off
netdb_filename none
hosts_file none

cache deny all
cache_mem 0
memory_pools off
digest_generation off
client_db on
max_filedescriptors {limits.EGRESS_DESCRIPTORS}
ipcache_size {limits.EGRESS_NAMES}
fqdncache_size 0
icp_port 0
htcp_port 0
snmp_port 0

via off
forwarded_for delete
httpd_suppress_version_string on
reply_header_access X-Squid-Error deny all
reply_header_access X-Cache deny all
reply_header_access X-Cache-Lookup deny all
reply_header_access Cache-Status deny all
check_hostnames on
allow_underscore on
relaxed_header_parser off
global_internal_static off

client_ip_max_connections {limits.EGRESS_CONNECTIONS}
pipeline_prefetch 0
half_closed_clients off
request_header_max_size {limits.EGRESS_HEADER_BYTES} bytes
reply_header_max_size {limits.EGRESS_HEADER_BYTES} bytes
client_request_buffer_max_size {limits.EGRESS_BUFFER_BYTES} bytes
read_ahead_gap {limits.EGRESS_BUFFER_BYTES} bytes
request_start_timeout 30 seconds
request_timeout 30 seconds
client_idle_pconn_timeout 60 seconds
pconn_timeout 15 seconds
connect_timeout 10 seconds
connect_retries 0
forward_timeout 20 seconds
forward_max_tries 4
read_timeout 10 minutes
write_timeout 2 minutes
client_lifetime 12 hours

dns_defnames off
dns_retransmit_interval 2 seconds
dns_timeout 8 seconds
negative_dns_ttl 10 seconds
positive_dns_ttl 10 minutes
"""

_ACLS = """
acl connect method CONNECT
acl web proto HTTP
acl literal dst -n all
acl ipv6_literal dstdom_regex -n :
acl resolved dst all
acl smtp port 25
acl tunnel_port port 443
acl plain_port port 80 443
"""


def configuration(policy: Policy, folder: str) -> str:
    """The text of squid.conf; pages are in a folder `errors` beside it."""
    lines = [f"http_port {policy.listen}", f"error_directory {folder}/errors", f"icon_directory {folder}", _FIXED]
    lines += [f"logformat kernelbox {LOG_FORMAT}", "access_log stdio:/dev/stdout logformat=kernelbox rotate=0", _ACLS]
    lines += [f"acl refused_address dst {network}" for network in policy.refused]
    # The last list of a line that refuses names the page, so each of these ends such lines.
    lines += [
        line
        for page in refusals.REFUSALS
        for line in (f"acl {page.name} annotate_transaction page={page.name}", f"deny_info {page.status}:{page.name} {page.name}")
    ]
    lines += [_deny("manager", refusals.REQUEST), _deny("!connect !web", refusals.REQUEST)]
    # Where the container has no IPv6, squid leaves out what the lists have of it. A name is looked up for what can be reached.
    lines += [_deny("ipv6_literal", refusals.LITERAL)]
    lines += _allowlist(policy) if policy.mode == "allowlist" else [_deny("smtp", refusals.PORT)]
    # Judged when the request comes, where squid looks the name up and waits for all of its addresses; and once more at the moment at which it takes
    # one of them to connect to, without waiting: what it does not know any more is refused then.
    for access in ("http_access", "miss_access"):
        lines += [_deny("refused_address", refusals.ADDRESS, access), _deny("!resolved", refusals.UNKNOWN_NAME, access), f"{access} allow all"]
    return "\n".join(lines) + "\n"


def _deny(lists: str, page: refusals.Page, access: str = "http_access") -> str:
    return " ".join([access, "deny", *lists.split(), page.name])


def _allowlist(policy: Policy) -> list[str]:
    names = [f"acl allowed_name dstdomain -n {host}" for host in policy.hosts if not host.startswith("*.")]
    # A leading dot would take the name itself as well, so what is below a name is told by a pattern.
    below = [f"acl allowed_below dstdom_regex -n ^.+\\.{re.escape(host[2:])}$" for host in policy.hosts if host.startswith("*.")]
    lists = [f"!{name}" for name, lines in (("allowed_name", names), ("allowed_below", below)) if lines]
    return [
        *names,
        *below,
        _deny("literal", refusals.LITERAL),
        _deny(" ".join(lists), refusals.HOST),
        _deny("connect !tunnel_port", refusals.PORT),
        _deny("!plain_port", refusals.PORT),
    ]
