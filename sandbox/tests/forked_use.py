"""How a fork of a process that has imported, and perhaps used, a library gets on with using it: `python -I forked_use.py <cases as JSON>`.

A case is a library, whether it was used before the fork, and the seconds it may take. All of them begin as forks of this process, which imports what
the template process does: to import that for each takes longer than all that they do. Prints how each ended, in order: `ok`, or how not.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import time
import warnings

USES = {
    "numpy": "import numpy; a = numpy.random.rand(300, 300); numpy.linalg.svd(a @ a)",
    "pandas": "import pandas; pandas.DataFrame({'a': [1, 2], 'b': 'xy'}).groupby('b').sum()",
    "pyarrow.compute": "import pyarrow.compute; pyarrow.compute.sum(pyarrow.array(range(100000)))",
    "matplotlib.pyplot": "import matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as p; p.plot([1, 2]); p.savefig('/tmp/plot.png')",
    "duckdb": "import duckdb; duckdb.sql('select sum(range) from range(1000000)').fetchall()",
    "scipy.stats": "import scipy.stats; scipy.stats.norm.fit([1.0, 2.0, 3.0])",
    "joblib": "import joblib; joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(i) for i in range(4))",
    "sklearn.cluster": "import numpy, sklearn.cluster as c; c.KMeans(8, n_init=3).fit(numpy.random.rand(5000, 8))",
    "polars": "import polars; polars.DataFrame({'a': range(100000)}).lazy().group_by(polars.col('a') % 7).len().collect()",
}


def begin(library: str, is_used: bool) -> int:
    process = os.fork()
    if process != 0:
        return process
    try:
        os.setsid()
        exec(f"import {library}", {})
        if is_used:
            exec(USES[library], {})
        fork = os.fork()
        if fork == 0:
            exec(USES[library], {})
            os._exit(0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]))
    finally:
        os._exit(1)


def outcome(process: int, deadline: float) -> str:
    ended, status = 0, 0
    while ended == 0 and time.monotonic() < deadline:
        ended, status = os.waitpid(process, os.WNOHANG)
        time.sleep(0.01)
    # Also of one that has ended: joblib keeps its workers for minutes.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    if ended == 0:
        os.waitpid(process, 0)
        return "hangs"
    return "ok" if status == 0 else f"exit code {os.waitstatus_to_exitcode(status)}"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name in ("numpy", "pandas", "matplotlib.pyplot"):
        importlib.import_module(name)
    # Side by side, since some only wait for their time to be over.
    begun = [(begin(library, is_used), time.monotonic() + limit_s) for library, is_used, limit_s in json.loads(sys.argv[1])]
    print(json.dumps([outcome(process, deadline) for process, deadline in begun]))
