"""Looks at a context without changing it: its variables, packages and use, and what its kernel knows of a name."""

import asyncio
from typing import Any, NoReturn

from . import limits, usage
from .context import Context
from .errors import RequestError
from .kernel import Kernel
from .languages import LANGUAGES
from .packages import installed
from .paths import Paths
from .process_usage import folder_of, processes_usage

Json = dict[str, Any]


async def inspect(context: Context, params: Json, paths: Paths) -> Json:
    """What was asked for, or None and, in `missing`, why not."""
    include = params.get("include") or []
    language = LANGUAGES.get(context.language)
    missing: dict[str, str] = {}
    answer: Json = {"missing": missing}
    pids = context.processes()
    answer["current_cwd"] = folder_of(pids[0]) if pids and language is not None and language.works_in_its_folder else None
    answer["usage"] = {**await processes_usage(pids), "sandbox": usage.usage()} if "usage" in include else None
    answer["packages"] = None
    if "packages" in include and (language is None or not language.imports_python):
        missing["packages"] = "unsupported"
    elif "packages" in include:
        packages, left_out = installed(paths)
        answer["packages"] = {"packages": packages, "left_out": left_out}
    answer["variables"] = None
    if "variables" in include and (language is None or not language.tells_variables):
        missing["variables"] = "unsupported"
    elif "variables" in include:
        try:
            answer["variables"] = _variables(await _ask(context, "kernelbox_variables_request", {}))
        except RequestError as error:
            missing["variables"] = error.code
    for name, ask in (("complete", _complete), ("inspect", _inspect)):
        answer[name] = await ask(context, *_place(params[name])) if params.get(name) is not None else None
    return answer


def _variables(content: Json) -> Json:
    """What code of the same uid can have sent as well as the kernel."""
    entries = content.get("variables")
    entries = entries[: limits.VARIABLES] if isinstance(entries, list) else []
    left_out = _size(content.get("left_out"))
    return {"variables": [_variable(entry) for entry in entries if isinstance(entry, dict)], "left_out": left_out or 0}


def _variable(entry: Json) -> Json:
    preview, shape = entry.get("preview"), entry.get("shape")
    is_shape = isinstance(shape, list) and len(shape) <= limits.DIMENSIONS and all(_size(side) is not None for side in shape)
    return {
        "name": _words(entry.get("name")),
        "type": _words(entry.get("type")),
        "shape": shape if is_shape else None,
        "size_bytes": _size(entry.get("size_bytes")),
        "preview": _text(preview, limits.VARIABLE_CHARACTERS) if isinstance(preview, str) else None,
    }


def _words(value: Any) -> str:
    return _text(value, limits.VARIABLE_CHARACTERS) if isinstance(value, str) else ""


def _size(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**53 else None


def _place(asked: Json) -> tuple[str, int]:
    """Code, and a place in it in code points, as the kernel protocol counts."""
    code, cursor = asked["code"], asked.get("cursor")
    if not isinstance(code, str) or len(code) > limits.LOOK_CODE_CHARACTERS:
        raise RequestError("too_large", f"more than {limits.LOOK_CODE_CHARACTERS} characters of code")
    return code, len(code) if cursor is None else min(max(0, int(cursor)), len(code))


async def _complete(context: Context, code: str, cursor: int) -> Json:
    content = await _ask(context, "complete_request", {"code": code, "cursor_pos": cursor})
    matches = content.get("matches")
    matches = [match for match in matches if isinstance(match, str)] if isinstance(matches, list) else []
    shown = [_text(match, limits.COMPLETION_CHARACTERS) for match in matches[: limits.COMPLETIONS]]
    start, end = (_within(content.get(name), code, cursor) for name in ("cursor_start", "cursor_end"))
    return {"matches": shown, "cursor_start": min(start, end), "cursor_end": end, "left_out": len(matches) - len(shown)}


async def _inspect(context: Context, code: str, cursor: int) -> Json:
    content = await _ask(context, "inspect_request", {"code": code, "cursor_pos": cursor, "detail_level": 0})
    data = content.get("data")
    text = data.get("text/plain") if isinstance(data, dict) else None
    is_found = content.get("found") is True and isinstance(text, str)
    return {"found": is_found, "text": _text(text, limits.INSPECTION_CHARACTERS) if is_found and isinstance(text, str) else None}


def _within(place: Any, code: str, otherwise: int) -> int:
    return place if type(place) is int and 0 <= place <= len(code) else otherwise


def _text(text: str, characters: int) -> str:
    return text[:characters].encode("utf-8", "replace").decode()


async def _ask(context: Context, kind: str, content: Json) -> Json:
    """Between two executions; what the kernel says is the user's, of any size: whoever reads it takes no more than it needs. `deadline_exceeded`
    where it does not answer in time."""
    async with context.lend() as kernel:
        asked = kernel.ask(kind, content)
        await asyncio.wait([asked], timeout=limits.LOOK_S)
        if not asked.done():
            await _give_up(kernel)
    if asked.cancelled():
        raise RequestError("kernel_died", "the kernel ended meanwhile")
    answer = asked.result().content
    if answer.get("status") != "ok":
        raise RequestError("unsupported", "the kernel gave no answer that can be taken")
    return answer


async def _give_up(kernel: Kernel) -> NoReturn:
    """A kernel that answers something else does not know the request. One that does not asks an object, perhaps, that takes for ever: the next code
    must not pay for that."""
    knows_not = kernel.ask("kernel_info_request", {})
    await asyncio.wait([knows_not], timeout=limits.LOOK_GRACE_S)
    if knows_not.done() and not knows_not.cancelled():
        raise RequestError("unsupported", "the kernel does not answer this")
    kernel.interrupt()
    await asyncio.wait([knows_not], timeout=limits.LOOK_GRACE_S)
    raise RequestError("deadline_exceeded", f"the kernel did not answer within {limits.LOOK_S:g} s")
