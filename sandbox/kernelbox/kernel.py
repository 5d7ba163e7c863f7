"""One kernel, from its start to its end: its process, its sockets, and whether it answers."""

import asyncio
from collections.abc import Callable
from typing import Any

from . import limits
from .death import death, memory_kills
from .errors import RequestError
from .kernel_client import KernelClient, Message
from .kernel_process import KernelProcess
from .settling import Settling

Json = dict[str, Any]

# What Deno answers where it could not even begin.
_WORDLESS = "Execution failed"


class Kernel:
    """Is usable after `ready`, and says once, through `on_end`, that it has ended after that."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        process: KernelProcess,
        *,
        on_output: Callable[[Message], None],
        on_reply: Callable[[Message], None],
        on_end: Callable[["Kernel"], None],
    ) -> None:
        self._loop = loop
        self._on_output = on_output
        self._on_reply = on_reply
        self._on_end = on_end
        self._answered: asyncio.Future[None] = loop.create_future()
        self._buried: asyncio.Future[None] = loop.create_future()
        self._is_doomed = False
        self._info_replied = False
        self._asked: dict[str, asyncio.Future[Message]] = {}
        self._output_seen = False
        # Until it has ended by itself, whatever ends it is our own kill.
        self.death: Json = {"reason": "killed"}
        memory_kills.look()
        self._process = process
        self._client = self._connect()
        self._language = process.language
        self._settling = (
            Settling(loop, raise_barrier=self._raise_barrier, is_held_back=lambda: self.is_paused, on_settled=self._settled)
            if self._language.barrier
            else None
        )
        self._message_id = ""
        if self._process.output is not None:
            self._process.output.listen(loop, self._written)
        process.when_ended(self._process_ended)

    def _connect(self) -> KernelClient:
        return KernelClient(self._loop, self._process.connection, on_output=self._output, on_reply=self._reply)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        return self.is_alive and self._answered.done()

    @property
    def is_alive(self) -> bool:
        """False also for one that was killed and has not ended yet."""
        return self._process.is_alive and not self._is_doomed

    @property
    def exit_code(self) -> int:
        return self._process.exit_code

    @property
    def exit_signal(self) -> int:
        return self._process.exit_signal

    @property
    def is_paused(self) -> bool:
        return self._client.is_paused

    async def ready(self, timeout_s: float) -> None:
        """Waits until it answers and its output is seen. `kernel_died` or `deadline_exceeded` where it never will."""
        deadline = self._loop.time() + timeout_s
        try:
            while not self._answered.done():
                # The output channel is joined a moment after the kernel answers. A kernel that does not welcome us says something when asked again.
                self._client.send("kernel_info_request", {})
                await asyncio.wait([self._answered], timeout=limits.NUDGE_S)
                if self._loop.time() >= deadline and not self._answered.done():
                    self.kill()
                    raise RequestError("deadline_exceeded", f"the kernel did not answer within {timeout_s:g} s")
            if not self.is_alive:
                words = self._process.last_words()
                details = {"last_words": words, "exit_code": self.exit_code, "exit_signal": self.exit_signal}
                raise RequestError("kernel_died", "the kernel ended while it was starting", details)
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
            self._process.close()

    def execute(self, code: str, env: dict[str, str]) -> str:
        """Sends code; gives the id that its messages will bear as their parent."""
        memory_kills.look()
        self._process.wake()
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        self._message_id = self._client.send("execute_request", content, {"kernelbox_env": env} if env else {})
        if self._settling is not None:
            self._settling.begin(self._message_id)
        return self._message_id

    def ask(self, kind: str, content: Json) -> asyncio.Future[Message]:
        """The answer to a request that runs nothing; cancelled where the kernel ends before it."""
        self._process.wake()
        asked: asyncio.Future[Message] = self._loop.create_future()
        try:
            message_id = self._client.send(kind, content)
        except OSError:
            self.reconnect()
            message_id = self._client.send(kind, content)
        self._asked[message_id] = asked
        return asked

    def processes(self) -> list[int]:
        """The kernel's own first, then what its code has started."""
        return self._process.family() if self.is_alive else []

    def interrupt(self) -> None:
        if self._settling is not None and self._settling.is_waiting:
            # There is nothing left to interrupt.
            self._settling.settle()
        elif self._language.interrupt == "message":
            self._process.wake()
            self._client.interrupt()
        else:
            self._process.interrupt()

    def kill(self) -> None:
        self._is_doomed = True
        self._process.kill()

    def reconnect(self) -> None:
        """New sockets: a message that was larger than ours take has closed the old ones for good."""
        self._client.close()
        self._client = self._connect()

    def pause(self) -> None:
        self._client.pause()
        if self._process.output is not None:
            self._process.output.pause()

    def resume(self) -> None:
        if self._client.is_paused and self._process.output is not None:
            self._process.output.resume()
        self._client.resume()

    async def buried(self) -> None:
        """Waits until a kernel that has ended, or was killed, has said its last and its end was told."""
        await asyncio.wait([self._buried], timeout=limits.BURIAL_S)

    def abandon(self) -> None:
        """Nobody listens to it any more: it is killed, and its end is not told."""
        self._on_end = _nothing
        self._client.close()
        self._close_output()
        self._forget_asked()
        self.kill()

    def _output(self, message: Message) -> None:
        self._output_seen = True
        self._check_answered()
        taken = message if self._settling is None else self._settling.take(message)
        if taken is None or taken.kind == "iopub_welcome":
            return
        if taken.kind == "status" and taken.content.get("execution_state") == "idle":
            self._settled(taken)
        else:
            self._on_output(taken)

    def _settled(self, idle: Message) -> None:
        """What the process had written by then comes before."""
        if self._process.output is not None:
            self._process.output.drain()
        self._on_output(idle)

    def _written(self, name: str, text: str) -> None:
        """By the process itself: it belongs to what runs, or ran last."""
        if self._message_id:
            self._on_output(Message("stream", self._message_id, {"name": name, "text": text}, {}))

    def _reply(self, message: Message) -> None:
        asked = self._asked.pop(message.parent_id, None)
        if asked is not None:
            if not asked.done():
                asked.set_result(message)
        elif message.kind == "kernel_info_reply":
            self._info_replied = True
            self._check_answered()
        elif message.kind == "execute_reply":
            if self._language.wordless_error and message.content.get("evalue") == _WORDLESS:
                message.content["evalue"] = self._language.wordless_error
            self._on_reply(message)

    def _check_answered(self) -> None:
        if self._info_replied and self._output_seen and not self._answered.done():
            if self._language.prelude:
                # Requests are taken in their order, so nobody needs to wait.
                self._run_silently(self._language.prelude)
            self._answered.set_result(None)

    def _raise_barrier(self) -> str:
        return self._run_silently(self._language.barrier)

    def _run_silently(self, code: str) -> str:
        silent = {"code": code, "silent": True, "store_history": False, "user_expressions": {}, "allow_stdin": False, "stop_on_error": False}
        try:
            return self._client.send("execute_request", silent)
        except OSError:
            return ""

    def _process_ended(self) -> None:
        if not self._is_doomed:
            self.death = death(self.exit_code, self.exit_signal)
        # Its last messages may still be on their way through the sockets.
        self._loop.call_later(limits.LAST_MESSAGES_S, self._bury)

    def _bury(self) -> None:
        try:
            self._client.drain()
            if self._process.output is not None:
                self._process.output.drain()
            if self._settling is not None:
                self._settling.settle()
        finally:
            self._client.close()
            self._close_output()
            self._forget_asked()
            self._buried.set_result(None)
            self._tell_end()

    def _close_output(self) -> None:
        if self._process.output is not None:
            self._process.output.close()

    def _forget_asked(self) -> None:
        for asked in self._asked.values():
            asked.cancel()
        self._asked.clear()

    def _tell_end(self) -> None:
        if self._answered.done():
            self._on_end(self)
        else:
            self._answered.set_result(None)


def _nothing(_kernel: Kernel) -> None:
    """Takes the word of an abandoned kernel's end."""
