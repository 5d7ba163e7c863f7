"""Where packages are: the image's, and the user's own."""

import os
import sys
from dataclasses import dataclass

from ..environment import NPM_PACKAGES
from ..paths import HOME

_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Places:
    base: str = f"{HOME}/.local"
    image: str = f"{sys.prefix}/lib/{_PYTHON}/site-packages"
    deno_dir: str = NPM_PACKAGES
    # The host of npm's public registry.
    registry: str = "registry"
    deno: str = f"{sys.prefix}/bin/deno"

    @property
    def site(self) -> str:
        return os.path.join(self.base, "lib", _PYTHON, "site-packages")

    @property
    def scripts(self) -> str:
        return os.path.join(self.base, "bin")

    @property
    def headers(self) -> str:
        return os.path.join(self.base, "include", _PYTHON)

    @property
    def npm(self) -> str:
        """What Deno takes for its copy of the registry, whichever it came from."""
        return os.path.join(self.deno_dir, "npm", self.registry)
