"""A folder full of what tries to lead out of it, and the names by which a caller may try. The tests build it for each way of resolving."""

import os
import socket

CANARY = b"the canary's own words"

ESCAPES = ["..", "../..", "a/..", "a/../..", "a/./..", "./..", "a//..", "a/b/../../..", "..//", ".././..", "a/../b/../.."]
OUTSIDE = ["", "/canary", "/etc/passwd", "/etc", "/proc/self/environ", "/proc/1/root/etc/passwd", "/dev/zero"]
ABSOLUTE = [
    "/",
    "//",
    "/etc/passwd",
    "//etc/passwd",
    "///etc///passwd",
    "/./etc/passwd",
    "/home",
    "/home/",
    "/home/user/../root",
    "/home/user2/file",
    "/home/userfile",
    "/HOME/user/file",
    "/Home/User/file",
    "/tmpfoo",
    "/tmp/../etc/passwd",
    "/tmp2/file",
    "/mnt",
    "/mnt/",
    "/mnt/data/../../etc/passwd",
    "/mnt/database",
    "/mnt/shared/../../etc/passwd",
    "/mnt/shared2",
    "/proc/self/root/etc/passwd",
    "/proc/self/cwd/etc/passwd",
    "/proc/self/fd/0",
    "/proc/1/environ",
    "/dev/zero",
    "/dev/stdin",
    "/dev/fd/0",
    "/sys/kernel",
    "/opt/py/bin/python",
    "/root/.ssh/id",
]
ODD = [
    "\udcff\udcfe",
    "caf\udce9",
    "line\nbreak",
    "car\rriage",
    "tab\tname",
    "bell\x07",
    "esc\x1b[2J",
    "del\x7f",
    "c1\x9b2J",
    "\u202egnp.exe",
    "zero\u200bwidth",
    "\ufeffbom",
    "\u2028separator",
    "e\u0301",
    "\u00e9",
    "\U0001f642",
    " leading",
    "trailing ",
    "dot.",
    "-rf",
    "--help",
    "-",
    "~",
    "~root",
    "$HOME",
    "$(id)",
    "`id`",
    ";id",
    "|id",
    "&",
    "*",
    "?",
    "[a]",
    "{a,b}",
    "%2e%2e",
    "%2e%2e%2fetc",
    "%00",
    "a\\..\\b",
    "..\\..",
    "C:\\x",
    "CON",
    "file:///etc/passwd",
    "...",
    "....",
    ". .",
    ".. ",
    " ..",
    ".hidden",
    "'",
    '"',
    "x" * 255,
    "ü" * 127,
]
REFUSED_ODD = ["nul\0byte", "\0", "/home/user/\0", "x" * 256, "ü" * 128, "a/" * 2_048 + "b", "x/" * 3_000, "/" + "y" * 5_000]
LINKS = [
    "to-file",
    "to-folder",
    "to-root",
    "to-canary",
    "to-canary-file",
    "to-parent",
    "to-self",
    "loop-a",
    "loop-b",
    "dangling",
    "to-etc",
    "to-passwd",
    "to-proc-root",
    "to-proc-cwd",
    "to-proc-fd",
    "to-zero",
    "relative-out",
    "chain-1",
    "chain-2",
    "chain-3",
    "empty-looking",
    "dots",
    "inside/up",
    "inside/absolute",
]
THROUGH = ["", "/", "/.", "/secret", "/passwd", "/../secret", "/b/file", "/x/y"]
SPECIAL = ["fifo", "socket", "sparse", "huge", "locked", "locked/file", "unreadable", "hard"]
SPECIAL += ["a/b/file/below", "a/b/file/", "a/b/file/..", "a/b/", "A/B/FILE"]


def names(root, canary):
    """All names that are tried, each once."""
    found = []
    found += [escape + outside for escape in ESCAPES for outside in OUTSIDE]
    found += [os.path.relpath(canary, root) + tail for tail in ("", "/secret", "/new", "/./secret")] + [canary, canary + "/secret"]
    found += ABSOLUTE + ODD + REFUSED_ODD
    found += [link + through for link in LINKS for through in THROUGH]
    found += SPECIAL + ["", ".", "./", "./a/./b/file", "a//b///file", "a/b/file"]
    found += ["/home/user/" + name for name in LINKS + SPECIAL + ODD[:10]]
    return list(dict.fromkeys(found))


def plant(root, canary):
    """The folder, as hostile code may have left it. Both paths are absolute."""
    os.makedirs(canary)
    for name in ("secret", "passwd"):
        with open(os.path.join(canary, name), "wb") as file:
            file.write(CANARY)
    os.makedirs(os.path.join(root, "a/b"))
    os.makedirs(os.path.join(root, "inside"))
    with open(os.path.join(root, "a/b/file"), "wb") as file:
        file.write(b"inside")
    targets = {
        "to-file": "a/b/file",
        "to-folder": "a/b",
        "to-root": root,
        "to-canary": canary,
        "to-canary-file": os.path.join(canary, "secret"),
        "to-parent": "..",
        "to-self": "to-self",
        "loop-a": "loop-b",
        "loop-b": "loop-a",
        "dangling": os.path.join(canary, "not-there"),
        "to-etc": "/etc",
        "to-passwd": "/etc/passwd",
        "to-proc-root": "/proc/self/root",
        "to-proc-cwd": "/proc/self/cwd",
        "to-proc-fd": "/proc/self/fd",
        "to-zero": "/dev/zero",
        "relative-out": os.path.relpath(canary, root),
        "chain-1": "chain-2",
        "chain-2": "chain-3",
        "chain-3": canary,
        "empty-looking": "./././.",
        "dots": "../" * 40 + canary.lstrip("/"),
        "inside/up": "../../" + os.path.basename(canary),
        "inside/absolute": canary,
    }
    for name, target in targets.items():
        os.symlink(target, os.path.join(root, name))
    os.mkfifo(os.path.join(root, "fifo"))
    with socket.socket(socket.AF_UNIX) as sock:
        here = os.open(".", os.O_PATH)
        os.chdir(root)
        sock.bind("socket")
        os.chdir(here)
        os.close(here)
    for name, size in (("sparse", 1 << 20), ("huge", 1 << 40)):
        with open(os.path.join(root, name), "wb") as file:
            file.truncate(size)
    os.mkdir(os.path.join(root, "locked"))
    for name in ("unreadable", "locked/file"):
        with open(os.path.join(root, name), "wb") as file:
            file.write(b"mine")
        os.chmod(os.path.join(root, name), 0)
    os.chmod(os.path.join(root, "locked"), 0)
    os.link(os.path.join(root, "a/b/file"), os.path.join(root, "hard"))


def state(folder):
    """Everything about a folder that somebody could have changed."""
    told = {}
    for path, folders, files in os.walk(folder):
        for name in folders + files:
            full = os.path.join(path, name)
            found = os.lstat(full)
            content = None
            if name in files and os.path.isfile(full) and not os.path.islink(full):
                with open(full, "rb") as file:
                    content = file.read()
            told[full] = (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ino, content)
    return told
