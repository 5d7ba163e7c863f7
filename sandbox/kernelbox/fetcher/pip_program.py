"""Becomes pip, which is not on the path of anything else: `python -I -m kernelbox.fetcher.pip_program <folder> <arguments>…`.

The folder holds the names and versions of what the sandbox has installed; it comes first, as the sandbox's own packages do there.
"""

import functools
import importlib
import runpy
import sys
from collections.abc import Iterable
from typing import Any

from .pip_words import BY_ADDRESS

PIP = "/opt/pip"
_LONG = "max-age=31536000"


def main(installed: str, arguments: list[str]) -> None:
    sys.path[:0] = [installed, PIP]
    _keep_wheels()
    _refuse_addresses()
    sys.argv = ["pip", *arguments]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


def _keep_wheels() -> None:
    """pip keeps what an index says that it may keep, and mirrors often say nothing. A wheel never changes, and its hash is checked each time."""
    session: Any = importlib.import_module("pip._internal.network.session")
    heuristics: Any = importlib.import_module("pip._vendor.cachecontrol.heuristics")

    class Wheels(heuristics.BaseHeuristic):
        def update_headers(self, response: Any) -> dict[str, str]:
            path = str(response.geturl() or "").partition("#")[0].partition("?")[0]
            is_wheel = path.endswith((".whl", ".whl.metadata")) and response.status == 200
            return {"cache-control": _LONG} if is_wheel and "cache-control" not in response.headers else {}

        def warning(self, response: Any) -> None:
            return None

    session.CacheControlAdapter = functools.partial(session.CacheControlAdapter, heuristic=Wheels())


def _refuse_addresses() -> None:
    """A package may need another by its address, to which `--only-binary` does not apply: pip would build what is there, and so run its code."""
    factory: Any = importlib.import_module("pip._internal.resolution.resolvelib.factory")
    refusal: Any = importlib.import_module("pip._internal.exceptions").InstallationError
    made = factory.Factory._make_requirements_from_install_req

    def made_by_name(self: Any, ireq: Any, requested_extras: Iterable[str]) -> Any:
        if ireq.link is not None and ireq.match_markers(requested_extras):
            raise refusal(BY_ADDRESS)
        return made(self, ireq, requested_extras)

    factory.Factory._make_requirements_from_install_req = made_by_name


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
