"""Becomes ripgrep: `python -I -m kernelbox.search_worker <descriptor of the folder, or -> <command>…`, under bounds of its own.

What is searched is hostile, and may be of any size. So the search is the first to go where memory is short, and ends by itself where the supervisor
cannot end it. ripgrep opens files by name, and a folder may have become a link since it was listed: so it can open nothing but what is beneath the
folder, and the libraries it is made of.
"""

import os
import resource
import sys

from . import landlock, limits


def main(folder: str, command: list[str]) -> None:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    for bound, most in (
        (resource.RLIMIT_AS, limits.SEARCH_MEMORY_BYTES),
        (resource.RLIMIT_CPU, limits.SEARCH_CPU_S),
        # What it says about the pattern; matches go through a pipe.
        (resource.RLIMIT_FSIZE, limits.SEARCH_SAID_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(bound, (most, most))
    allowed = [(os.open(command[0], os.O_PATH | os.O_CLOEXEC), landlock.EXECUTE | landlock.READ_FILE)]
    allowed += [
        (os.open(path, os.O_PATH | os.O_CLOEXEC), landlock.EXECUTE | landlock.READ_FILE) for path in ("/lib", "/lib64") if os.path.isdir(path)
    ]
    if folder != "-":
        os.fchdir(int(folder))
        allowed.append((int(folder), landlock.READ_FILE | landlock.READ_DIR))
    landlock.confine(allowed)
    if folder != "-":
        os.close(int(folder))
    os.execv(command[0], command)  # noqa: S606  no shell is what is wanted


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
