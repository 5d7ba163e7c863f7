"""Takes from a process all files but those it is for, for good and for all that it becomes. Where the system cannot do that, nothing happens."""

import ctypes
import os
import struct

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

EXECUTE, READ_FILE, READ_DIR = 1 << 0, 1 << 2, 1 << 3
# Every right that the first version knows, writing among them.
_ALL = (1 << 13) - 1

_libc = ctypes.CDLL(None, use_errno=True)


def is_there() -> bool:
    return int(_libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)) >= 1


def confine(allowed: list[tuple[int, int]]) -> None:
    """`allowed` are descriptors of files and folders, each with the rights that stay on it and on what is beneath it."""
    if not is_there():
        return
    handled = struct.pack("=Q", _ALL)
    ruleset = _done(_libc.syscall(_CREATE_RULESET, handled, len(handled), 0))
    for fd, rights in allowed:
        _done(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, fd), 0))
    _done(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _done(_libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _done(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "Landlock")
    return result
