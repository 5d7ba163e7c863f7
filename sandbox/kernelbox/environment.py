"""What every program in the sandbox finds in its environment, and what a request adds to it."""

import os
from typing import Any

from .errors import RequestError
from .paths import HOME

ENVIRONMENT = {
    "HOME": HOME,
    "USER": "user",
    "LOGNAME": "user",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TERM": "xterm-256color",
    "PATH": f"{HOME}/.local/bin:/opt/py/bin:/usr/local/bin:/usr/bin:/bin",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MPLCONFIGDIR": "/tmp/.matplotlib",
    "IPYTHONDIR": "/tmp/.ipython",
    "JUPYTER_DATA_DIR": "/tmp/.jupyter",
    # The figure's own JSON; the default is an HTML page with 4 MB of plotly.js in it.
    "PLOTLY_RENDERER": "plotly_mimetype",
    "XDG_CACHE_HOME": "/tmp/.cache",
    "DENO_DIR": "/tmp/.deno",
    "PYTHONDONTWRITEBYTECODE": "1",
}

NPM_PACKAGES = f"{HOME}/.local/share/deno"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
# The server sets these where the sandbox has a way out, and only there packages come into it.
HAS_NETWORK = any(name in os.environ for name in _PROXIES)
if HAS_NETWORK:
    ENVIRONMENT |= {name: os.environ[name] for name in _PROXIES if name in os.environ}
    # What is behind the proxy may be known to the image's own authorities only, which not all ask by themselves.
    ENVIRONMENT |= {"SSL_CERT_FILE": _CERTIFICATES, "REQUESTS_CA_BUNDLE": _CERTIFICATES, "DENO_TLS_CA_STORE": "system"}
    ENVIRONMENT["DENO_DIR"] = NPM_PACKAGES


def requested(params: dict[str, Any]) -> dict[str, str]:
    env = {str(name): str(value) for name, value in (params.get("env") or {}).items()}
    try:
        "".join((*env, *env.values())).encode()
    except UnicodeEncodeError:
        raise RequestError("invalid_argument", "the environment is not Unicode text") from None
    return env
