"""The floor of a warm execution: the reference client beside a stock kernel in the same container, without anything of ours between them.

Runs inside a sandbox, through execute_code; `ROUNDS` executions after a warm-up. The last value is the list of milliseconds, once for
execute_interactive, which is what most programs call, and once for the shell's reply and then `idle`, the least that the protocol needs.
"""

import sys
import time

from jupyter_client import KernelManager

ROUNDS = 100

manager = KernelManager(transport="ipc", ip="/tmp/floor")
manager.kernel_cmd = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
manager._launch_args = {}
manager.start_kernel()
client = manager.blocking_client()
client.start_channels()
client.wait_for_ready(timeout=60)


def interactive() -> None:
    client.execute_interactive("1+1", output_hook=lambda message: None)


def shell_then_idle() -> None:
    message_id = client.execute("1+1")
    client.get_shell_msg(timeout=10)
    while True:
        message = client.get_iopub_msg(timeout=10)
        is_ours = message["parent_header"].get("msg_id") == message_id
        if is_ours and message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return


def time_rounds(work) -> list[float]:
    for _ in range(20):
        work()
    taken = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        taken.append(round((time.perf_counter() - begun) * 1000, 3))
    return taken


floor = {"interactive": time_rounds(interactive), "shell_then_idle": time_rounds(shell_then_idle)}
client.stop_channels()
manager.shutdown_kernel(now=True)
floor
