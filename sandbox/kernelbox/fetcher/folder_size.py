"""How much a folder holds, while others change it."""

import os


def files_beneath(folder: str) -> list[tuple[str, int, float]]:
    """Each file's path, size and the time when it was last used, as far as the file system keeps that."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            try:
                status = os.lstat(path)
            except OSError:
                continue
            found.append((path, status.st_size, max(status.st_atime, status.st_mtime)))
    return found
