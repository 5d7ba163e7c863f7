"""Runs at the start of every Python of the image (by the .pth beside it): programs find what the user installed, as kernels do.

A virtual environment has no user site of its own. What is isolated (-I), the supervisor and whatever it starts, never gets it.
"""

import sys


def _join_user_packages() -> None:
    import os
    import site

    folder = os.path.expanduser(f"~/.local/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages")
    if not os.path.isdir(folder):
        return
    before = list(sys.path)
    site.addsitedir(folder)
    added = [path for path in sys.path if path not in before]
    at = next((i for i, path in enumerate(before) if path.endswith("site-packages")), len(before))
    sys.path[:] = [*before[:at], *added, *before[at:]]


if not sys.flags.isolated and not sys.flags.no_user_site:
    _join_user_packages()
