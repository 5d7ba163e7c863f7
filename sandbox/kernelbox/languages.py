"""How the kernel of each language is started, spoken to and stopped: one table, that nothing else knows better."""

from dataclasses import dataclass
from typing import Literal

from .connection import Transport


@dataclass(frozen=True, slots=True)
class Language:
    """What a language's kernel needs. Its connection file's path is the last argument of `program`."""

    program: tuple[str, ...]
    # Which sockets the kernel can listen on.
    transport: Transport = "ipc"
    # What ends running code and leaves the kernel alive: SIGINT to the kernel, SIGINT to its process group, or `interrupt_request`.
    interrupt: Literal["signal", "group", "message"] = "signal"
    # How long after reply and idle a result may still come.
    quiet_s: float = 0.0
    # What the process itself writes to its stdout and stderr is output of the code; a kernel that captures it has nothing to say there.
    speaks_on_descriptors: bool = False
    # Whether the kernel answers our own request for its variables, and whether Python's packages are what its code imports.
    tells_variables: bool = False
    imports_python: bool = False
    # Whether the kernel's own folder is its code's.
    works_in_its_folder: bool = True


LANGUAGES: dict[str, Language] = {
    "python": Language(
        program=("/opt/py/bin/python", "-I", "-m", "kernelbox.kernels.python"),
        tells_variables=True,
        imports_python=True,
    ),
}
