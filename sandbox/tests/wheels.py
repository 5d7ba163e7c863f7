"""Makes wheels, npm packages, and an index on the loopback that hands them out."""

import base64
import contextlib
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def wheel(name="thing", version="1.0", files=None, requires=(), scripts="", extras=(), raw=()):
    """Its bytes; `files` by name, `raw` entries of the archive that its RECORD does not name."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Provides-Extra: {extra}\n" for extra in extras) + "".join(f"Requires-Dist: {need}\n" for need in requires)
    entries = {
        **(files if files is not None else {f"{name}.py": f"version = '{version}'\n"}),
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **({f"{info}/entry_points.txt": scripts} if scripts else {}),
    }
    record = "".join(f"{path},sha256={_digest(content)},{len(content.encode())}\n" for path, content in entries.items()) + f"{info}/RECORD,,\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in [*entries.items(), *raw, (f"{info}/RECORD", record)]:
            archive.writestr(path, content)
    return out.getvalue()


def _digest(content):
    return base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()


def source_package(name, code):
    """A source package whose build backend, which is in it, runs this line."""
    out = io.BytesIO()
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": f"{code}\n",
    }
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(f"{name}-1.0/{path}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content.encode()))
    return out.getvalue()


def npm_package(name, version, files, dependencies=None):
    out = io.BytesIO()
    about = {"name": name, "version": version, "main": "index.js", "dependencies": dependencies or {}}
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, content in {**files, "package.json": json.dumps(about)}.items():
            info = tarfile.TarInfo(f"package/{path}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content.encode()))
    return out.getvalue()


class Index:
    """Of Python packages beneath /simple/, of npm packages beneath /; `asked` is what was asked for."""

    def __init__(self):
        self.asked = []
        self.pages = {}
        self.delay_s = 0.0
        # Of some paths, in its place.
        self.delays_s = {}
        index = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                index.asked.append(self.path)
                threading.Event().wait(index.delays_s.get(self.path, index.delay_s))
                status, kind, body = index.pages.get(self.path, (404, "text/plain", b"no"))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if self.path.startswith("/files/"):
                    self.send_header("Cache-Control", "max-age=1000")
                self.end_headers()
                # Whoever asked may have been ended.
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def put(self, name, *files):
        """Of one Python package: names and bytes of its files."""
        links = ""
        for file, content in files:
            self.pages[f"/files/{file}"] = (200, "application/octet-stream", content)
            links += f'<a href="/files/{file}#sha256={hashlib.sha256(content).hexdigest()}">{file}</a>\n'
        self.pages[f"/simple/{name}/"] = (200, "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode())

    def put_npm(self, name, *packages):
        """Of one npm package: versions and archives, the newest last."""
        versions = {}
        for version, archive, dependencies in packages:
            path = f"/{name}/-/{version}.tgz"
            self.pages[path] = (200, "application/octet-stream", archive)
            integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
            dist = {"tarball": self.address + path, "integrity": integrity, "shasum": hashlib.sha1(archive).hexdigest()}
            versions[version] = {"name": name, "version": version, "dependencies": dependencies, "dist": dist}
        answer = {"name": name, "dist-tags": {"latest": packages[-1][0]}, "versions": versions}
        self.pages[f"/{name}"] = (200, "application/json", json.dumps(answer).encode())
