"""How the kernel of each language is started, spoken to and stopped: one table, that nothing else knows better."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .connection import Transport

_KERNELS = Path(__file__).parent / "kernels"
# The supervisor blocks signals, and what it starts inherits that.
_PLAIN_SIGNALS = ("/usr/bin/env", "--default-signal")


@dataclass(frozen=True, slots=True)
class Language:
    """What a language's kernel needs. Its connection file's path is the last argument of `program`."""

    program: tuple[str, ...]
    # The module of kernels/ that a fork of the template process runs instead of the program.
    template: str | None = None
    # Which sockets the kernel can listen on.
    transport: Transport = "ipc"
    # What ends running code and leaves the kernel alive: SIGINT to the kernel, SIGINT to its process group, or `interrupt_request`.
    interrupt: Literal["signal", "group", "message"] = "signal"
    # Code of ours that makes the kernel send a message behind all that it has still to send, where it reports code done before that.
    barrier: str = ""
    # What the process itself writes to its stdout and stderr is output of the code; a kernel that captures it has nothing to say there.
    speaks_on_descriptors: bool = False
    # Code of ours that the kernel runs before any other.
    prelude: str = ""
    # Whether the kernel answers our own request for its variables, and whether Python's packages are what its code imports.
    tells_variables: bool = False
    imports_python: bool = False
    # Whether the kernel's own folder is its code's.
    works_in_its_folder: bool = True
    # What it means when it names an error in its reply only, without a word on what it was.
    wordless_error: str = ""


def _deno() -> Language:
    """One kernel for both languages: it strips types, and does not check them."""
    return Language(
        program=(*_PLAIN_SIGNALS, "/opt/py/bin/deno", "jupyter", "--kernel", "--conn"),
        transport="tcp",
        # SIGINT ends the kernel.
        interrupt="message",
        barrier='globalThis[Symbol.for("kernelbox.barrier")]()',
        speaks_on_descriptors=True,
        prelude=(_KERNELS / "deno_prelude.js").read_text(),
        wordless_error="Deno did not run this code and does not say why: it has a syntax error, or imports a module that is not available "
        "(npm: packages come by install_packages; jsr: and https: modules need a network; node: modules and files can be imported).",
    )


LANGUAGES: dict[str, Language] = {
    "python": Language(
        program=("/opt/py/bin/python", "-I", "-m", "kernelbox.kernels.python"),
        template="python",
        tells_variables=True,
        imports_python=True,
    ),
    "javascript": _deno(),
    "typescript": _deno(),
    "r": Language(
        program=(*_PLAIN_SIGNALS, "/usr/bin/Rscript", "--vanilla", str(_KERNELS / "r_kernel.R")),
        # What R waits for ignores a signal to R alone.
        interrupt="group",
        speaks_on_descriptors=True,
    ),
    "bash": Language(
        program=("/opt/py/bin/python", "-I", "-m", "kernelbox.kernels.bash"),
        template="bash",
        # The shell is a child of the kernel.
        works_in_its_folder=False,
    ),
}
