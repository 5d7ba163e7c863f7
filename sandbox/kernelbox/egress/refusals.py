"""Why squid refuses a request: one page each, whose name squid also writes into its log."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    name: str
    # What the server is told; None where the policy allowed the request.
    reason: str | None
    # squid fills in %H, the host, and quotes it.
    text: str
    status: int = 403


HOST = Page("KB_HOST_NOT_ALLOWED", "host_not_allowed", "The network policy of this sandbox does not allow the host %H.")
LITERAL = Page(
    "KB_ADDRESS_LITERAL", "address_literal", "The network policy of this sandbox allows hosts by their names, not by an address such as %H."
)
ADDRESS = Page("KB_PRIVATE_ADDRESS", "private_address", "%H has an address that no sandbox may reach (private, local, reserved, or the host's).")
PORT = Page("KB_PORT", "port", "The network policy of this sandbox does not allow this port.")
REQUEST = Page("KB_REQUEST", "request", "The network of this sandbox takes plain HTTP requests and CONNECT only.")
UNKNOWN_NAME = Page("KB_UNKNOWN_NAME", None, "The name %H could not be resolved.", 503)
REFUSALS = (HOST, LITERAL, ADDRESS, PORT, REQUEST, UNKNOWN_NAME)

# What squid says itself where it gives up. Its own pages are in HTML and would name the proxy and the time.
FAILURES = {
    "ERR_ACCESS_DENIED": "The network policy of this sandbox does not allow this request.",
    "ERR_CANNOT_FORWARD": "%H could not be reached.",
    "ERR_CONNECT_FAIL": "%H could not be reached: %E",
    "ERR_DNS_FAIL": "The name %H could not be resolved.",
    "ERR_FORWARDING_DENIED": "%H could not be reached. Try again.",
    "ERR_GATEWAY_FAILURE": "%H could not be reached.",
    "ERR_INVALID_REQ": "This is no valid HTTP request.",
    "ERR_INVALID_RESP": "%H sent no valid HTTP response.",
    "ERR_INVALID_URL": "The address of this request is not valid.",
    "ERR_LIFETIME_EXP": "The connection took too long.",
    "ERR_PROTOCOL_UNKNOWN": "This is no valid HTTP request.",
    "ERR_READ_ERROR": "The connection to %H broke: %E",
    "ERR_READ_TIMEOUT": "%H did not answer in time.",
    "ERR_SOCKET_FAILURE": "%H could not be reached: %E",
    "ERR_TOO_BIG": "The request or its headers are too large.",
    "ERR_UNSUP_HTTPVERSION": "This version of HTTP is not supported.",
    "ERR_UNSUP_REQ": "This kind of request is not supported.",
    "ERR_WRITE_ERROR": "The connection to %H broke: %E",
    "ERR_ZERO_SIZE_OBJECT": "%H closed the connection without an answer.",
}


def pages() -> dict[str, str]:
    """All of them, by the names of their files."""
    return {
        **{page.name: f"{page.text}\n" for page in REFUSALS},
        **{name: f"{text}\n" for name, text in FAILURES.items()},
    }
