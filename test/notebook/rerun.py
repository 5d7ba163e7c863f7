"""Runs a notebook again with nbclient and tells how the two differ: in the sandbox, on the image's own ipykernel."""

import copy
import json
import sys
from typing import Any

import nbformat


def rerun(wheel: str, path: str, answer: str) -> None:
    sys.path.insert(0, wheel)
    from nbclient import NotebookClient

    with open(path, encoding="utf-8") as file:
        before = nbformat.read(file, as_version=nbformat.NO_CONVERT)
    nbformat.validate(before)
    after = copy.deepcopy(before)
    for cell in after.cells:
        if cell.cell_type == "code" and "skip-execution" not in cell.metadata.get("tags", []):
            cell.outputs, cell.execution_count = [], None
    NotebookClient(after, timeout=60).execute()
    nbformat.validate(after)
    with open(answer, "w", encoding="utf-8") as file:
        json.dump({"before": [_facts(cell) for cell in before.cells], "after": [_facts(cell) for cell in after.cells]}, file)


def _facts(cell: Any) -> dict[str, Any]:
    """What must be the same. How the two streams lie between one another is for the kernel's threads to say."""
    if cell.cell_type != "code":
        return {"source": cell.source}
    outputs = cell.outputs
    return {
        "execution_count": cell.execution_count,
        "stdout": "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout"),
        "stderr": "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"),
        "displays": [
            [output.output_type, output.get("execution_count"), dict(sorted(output.data.items())), output.metadata]
            for output in outputs
            if "data" in output
        ],
        "errors": [[output.ename, output.evalue] for output in outputs if output.output_type == "error"],
    }
