"""The floors: the reference client beside stock kernels in the same container, without anything of ours between them.

Runs inside a sandbox, through execute_code, whose `env` names what is wanted: FLOOR. The last value is a list of milliseconds:
`interactive`   execute_interactive of 1+1, which is what most programs call
`reply_idle`    the shell's reply and then `idle`, the least that the protocol needs
`start`         a kernel's process to its first answer
`start_plot`    the same, and then pandas, pyplot and a plot
`interrupt`     SIGINT to the reply of a sleeping cell
`first_output`  a cell's start to the first byte that it prints
`together`      1+1 in KERNELS kernels at once, a thread each
"""

import os
import sys
import threading
import time

from jupyter_client import KernelManager

ROUNDS = int(os.environ.get("ROUNDS", "50"))
KERNELS = int(os.environ.get("KERNELS", "1"))


class Kernel:
    def __init__(self, name: str) -> None:
        self.manager = KernelManager(transport="ipc", ip=f"/tmp/floor-{name}")
        self.manager.kernel_cmd = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self.manager._launch_args = {}
        self.manager.start_kernel()
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def interactive(self, code: str = "1+1") -> None:
        self.client.execute_interactive(code, output_hook=lambda message: None)

    def reply_then_idle(self) -> None:
        message_id = self.client.execute("1+1")
        self.client.get_shell_msg(timeout=10)
        while not is_idle(self.client.get_iopub_msg(timeout=10), message_id):
            pass

    def interrupt(self) -> float:
        message_id = self.client.execute("import time; print('begun', flush=True); time.sleep(60)")
        while self.client.get_iopub_msg(timeout=10)["msg_type"] != "stream":
            pass
        begun = time.perf_counter()
        self.manager.interrupt_kernel()
        self.client.get_shell_msg(timeout=10)
        while not is_idle(self.client.get_iopub_msg(timeout=10), message_id):
            pass
        return time.perf_counter() - begun

    def first_output(self) -> float:
        begun = time.perf_counter()
        message_id = self.client.execute("import time; print('begun', flush=True); time.sleep(0.05)")
        while self.client.get_iopub_msg(timeout=10)["msg_type"] != "stream":
            pass
        taken = time.perf_counter() - begun
        self.client.get_shell_msg(timeout=10)
        while not is_idle(self.client.get_iopub_msg(timeout=10), message_id):
            pass
        return taken

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def is_idle(message, message_id: str) -> bool:
    is_ours = message["parent_header"].get("msg_id") == message_id
    return is_ours and message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"


def timed(work) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def started(plot: bool) -> float:
    begun = time.perf_counter()
    kernel = Kernel("start")
    if plot:
        kernel.interactive("import pandas, matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    taken = time.perf_counter() - begun
    kernel.stop()
    return taken


def in_warm_kernel(work) -> list[float]:
    kernel = Kernel("warm")
    for _ in range(10):
        kernel.interactive()
    taken = [work(kernel) for _ in range(ROUNDS)]
    kernel.stop()
    return taken


def together() -> list[float]:
    kernels = [Kernel(str(number)) for number in range(KERNELS)]
    taken: list[float] = []

    def work(kernel: Kernel) -> None:
        for _ in range(ROUNDS):
            taken.append(timed(kernel.reply_then_idle))

    threads = [threading.Thread(target=work, args=(kernel,)) for kernel in kernels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for kernel in kernels:
        kernel.stop()
    return taken


FLOORS = {
    "interactive": lambda: in_warm_kernel(lambda kernel: timed(kernel.interactive)),
    "reply_idle": lambda: in_warm_kernel(lambda kernel: timed(kernel.reply_then_idle)),
    "start": lambda: [started(False) for _ in range(ROUNDS)],
    "start_plot": lambda: [started(True) for _ in range(ROUNDS)],
    "interrupt": lambda: in_warm_kernel(Kernel.interrupt),
    "first_output": lambda: in_warm_kernel(Kernel.first_output),
    "together": together,
}

[round(value * 1000, 3) for value in FLOORS[os.environ["FLOOR"]]()]
