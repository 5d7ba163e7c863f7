"""A kernel that tells its variables, and is looked at without being changed."""

import asyncio
import time
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from ipykernel.kernelbase import Kernel

from .known_types import exact, is_a, namespace, type_name
from .previews import describe

VARIABLES_REQUEST = "kernelbox_variables_request"
_LOOKS = frozenset({VARIABLES_REQUEST, "complete_request", "inspect_request", "kernel_info_request"})
_VARIABLES = 100
_NAME_CHARACTERS = 100
_SECONDS = 1.0
_OWN = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})


class TellsVariables:
    """What IPythonKernel lacks. It answers on the shell channel, so on the main thread and between two cells."""

    msg_types = [*Kernel.msg_types, VARIABLES_REQUEST]  # noqa: RUF012  ipykernel reads it from the class

    def set_parent(self, ident: Any, parent: Any, channel: str = "shell") -> None:
        """What a thread or a subprocess of an earlier cell still writes stays that cell's: who only looks takes nothing over."""
        if parent.get("header", {}).get("msg_type") in _LOOKS:
            Kernel.set_parent(self, ident, parent, channel)
        else:
            super().set_parent(ident, parent, channel)  # type: ignore[misc]

    async def kernelbox_variables_request(self, stream: Any, ident: Any, parent: Any) -> None:
        try:
            content = variables(self.shell.user_ns)  # type: ignore[attr-defined]
        except KeyboardInterrupt:
            content = {"status": "aborted"}
        self.session.send(stream, "kernelbox_variables_reply", content, parent, ident)  # type: ignore[attr-defined]

    async def complete_request(self, stream: Any, ident: Any, parent: Any) -> None:
        await self._look(super().complete_request, "complete_reply", stream, ident, parent)  # type: ignore[misc]

    async def inspect_request(self, stream: Any, ident: Any, parent: Any) -> None:
        await self._look(super().inspect_request, "inspect_reply", stream, ident, parent)  # type: ignore[misc]

    async def _look(self, handle: Any, reply: str, stream: Any, ident: Any, parent: Any) -> None:
        """These may ask the user's objects, which may raise or hang. Its supervisor interrupts what takes too long."""
        try:
            await handle(stream, ident, parent)
        except KeyboardInterrupt:
            self.session.send(stream, reply, {"status": "aborted"}, parent, ident)  # type: ignore[attr-defined]
        except asyncio.CancelledError:
            raise
        except BaseException:  # noqa: BLE001  whatever the object raised; SystemExit would end the kernel
            self.session.send(stream, reply, {"status": "error"}, parent, ident)  # type: ignore[attr-defined]


def variables(names: dict[Any, Any]) -> dict[str, Any]:
    """Data first, in the order of their definition; of too many the last ones. Then functions, classes and modules, as far as there is room."""
    until = time.monotonic() + _SECONDS
    data: list[tuple[str, Any]] = []
    others: list[tuple[str, Any]] = []
    count = 0
    for name, value in reversed(list(dict.items(names))):
        if type(name) is str and not name.startswith("_") and name not in _OWN:
            count += 1
            if len(data) < _VARIABLES:
                (others if _is_code(value) else data).append((name, value))
    shown = [*reversed(data), *reversed(others)][:_VARIABLES]
    return {
        "status": "ok",
        "variables": [_entry(name, value, time.monotonic() < until) for name, value in shown],
        "left_out": count - len(shown),
    }


def _is_code(value: Any) -> bool:
    return is_a(value, ModuleType) or is_a(value, type) or type(value) is FunctionType or type(value) is BuiltinFunctionType


def _entry(name: str, value: Any, has_time: bool) -> dict[str, Any]:
    entry = {"name": _text(name, _NAME_CHARACTERS), "type": _text(type_name(type(value)), 2 * _NAME_CHARACTERS)}
    shape, size, preview = None, None, None
    if has_time:
        try:
            shape, size, preview = (None, None, _signature(value)) if _is_code(value) else describe(value)
        except Exception:  # noqa: BLE001  what a thread changes meanwhile, or a library that is not the one we know
            pass
    return {**entry, "shape": shape, "size_bytes": size, "preview": None if preview is None else _text(preview, len(preview))}


def _signature(value: Any) -> str | None:
    if is_a(value, ModuleType):
        return exact(namespace(value).get("__name__"))
    if is_a(value, type):
        return type_name(value)
    if type(value) is not FunctionType:
        return None
    code: CodeType = value.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    return f"({', '.join(code.co_varnames[:count])})"


def _text(text: str, characters: int) -> str:
    """Names and strings may hold what is no Unicode text."""
    shown = text if len(text) <= characters else f"{text[: characters - 1]}…"
    return shown.encode("utf-8", "backslashreplace").decode()
