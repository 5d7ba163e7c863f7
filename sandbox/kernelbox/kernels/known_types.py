"""What a value is, learnt without running a line of the user's code.

`isinstance`, `type(x).__name__`, `len` and `repr` all may: through `__class__`, a metaclass, `__getattr__`, a property. What is used here goes
past them, to the interpreter's own slots.
"""

import sys
from types import ModuleType
from typing import Any

_name_of = type.__dict__["__name__"].__get__
_module_of = type.__dict__["__module__"].__get__
_ancestors_of = type.__dict__["__mro__"].__get__
_namespace_of: Any = vars(ModuleType)["__dict__"].__get__


def exact(text: Any) -> str | None:
    """A plain string of one, or of a subclass's, whose methods could be the user's."""
    if type(text) is str:
        return text
    return str.join("", (text,)) if is_a(text, str) else None


def is_a(value: Any, kind: type) -> bool:
    """By the type's real line of ancestors."""
    return any(ancestor is kind for ancestor in _ancestors_of(type(value)))


def type_name(kind: type) -> str:
    name = exact(_name_of(kind)) or "?"
    module = module_of(kind)
    return name if module in ("", "builtins") else f"{module}.{name}"


def module_of(kind: type) -> str:
    """Where the type says that it was made; empty where that is no text."""
    return exact(_module_of(kind)) or ""


def namespace(module: Any) -> dict[str, Any]:
    return _namespace_of(module) if is_a(module, ModuleType) else {}


def is_made_by(kind: type, package: str) -> bool:
    """Whether the type is what a module of that package has under its name, and not something that only says so."""
    module = module_of(kind)
    if module.partition(".")[0] != package:
        return False
    return namespace(sys.modules.get(module)).get(exact(_name_of(kind)) or "") is kind
