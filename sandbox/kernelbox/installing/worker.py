"""Looks for packages, or installs fetched ones: `python -I -m kernelbox.installing.worker`, a request as JSON on stdin, its answer on stdout.

What it reads was made by anybody, so it has bounds of its own and lives for one request.
"""

import json
import os
import resource
import signal
import sys
from typing import Any, NoReturn

from .. import limits
from . import npm
from .distributions import Distributions, parsed
from .failure import InstallError
from .places import Places
from .wheels import install_wheels

Json = dict[str, Any]


def main() -> None:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The supervisor blocks signals, and what it starts inherits that. Ended by one, it takes back what it has written.
    signal.signal(signal.SIGTERM, _stop)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    with open(1, "w", closefd=False) as out:
        try:
            request = json.load(sys.stdin)
            answer = _answer(request, Places(registry=request["registry"]))
        except InstallError as error:
            answer = {"error": error.as_json()}
        except OSError as error:
            full = error.errno in limits.DISK_FULL
            code, message = ("limit_exceeded", "no room") if full else ("permission_denied", "a folder of ~/.local cannot be used")
            answer = {"error": {"code": code, "message": message, "details": {"errno": error.errno}}}
        json.dump(answer, out)


def _stop(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(1)


def _answer(request: Json, places: Places) -> Json:
    # npm's processor time is Deno's, which has threads beyond any bound of address space.
    if request["manager"] == "pip":
        resource.setrlimit(resource.RLIMIT_AS, (limits.INSTALL_MEMORY_BYTES, limits.INSTALL_MEMORY_BYTES))
    match request["method"], request["manager"]:
        case "look", "pip":
            return _look_for_wheels(request["packages"], places)
        case "look", _:
            return {"present": [_named(found) for found in npm.present(request["packages"], places)], "installed": []}
        case "install", "pip":
            wheels = [(each["name"], each["version"], path) for each, path in zip(request["packages"], request["files"], strict=True)]
            return {"installed": request["packages"], "replaced": install_wheels(wheels, request["staging"], places)}
        case _:
            installed = npm.install_packages(request["files"][0], request["staging"], places)
            return {"installed": [_named(each) for each in installed], "replaced": []}


def _look_for_wheels(packages: list[str], places: Places) -> Json:
    known = Distributions(places)
    present: list[Json | None] = []
    for requirement in parsed(packages):
        version = known.version(requirement.name)
        is_present = version is not None and known.meets(requirement)
        present.append({"name": requirement.name, "version": version} if is_present else None)
    user = [{"name": name, "version": version} for name, (_, version) in sorted(known.user.items())]
    return {"present": present, "installed": user[: limits.PACKAGES]}


def _named(found: tuple[str, str] | None) -> Json | None:
    return None if found is None else {"name": found[0], "version": found[1]}


if __name__ == "__main__":
    os.chdir("/")
    main()
