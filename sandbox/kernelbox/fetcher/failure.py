"""Why packages could not be had, told apart by a code."""

from typing import Any


class FetchError(Exception):
    """A code, and facts about it. Text of an index among them is bounded; it never holds an address, since that may hold a password."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, **self.facts}
