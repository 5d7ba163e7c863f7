"""A context: one kernel, its queue, and what became of its variables."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

from . import limits
from .death import stopped
from .errors import RequestError
from .event_log import now
from .execution import Execution
from .kernel import Kernel
from .kernel_client import Message
from .launcher import Launcher

Json = dict[str, Any]


class Context:
    """Runs executions one after the other, in order of arrival, one request at a time: nothing is ever queued inside the kernel."""

    def __init__(
        self,
        context_id: str,
        *,
        language: str,
        cwd: str,
        env: dict[str, str],
        name: str | None,
        start_timeout_s: float,
        loop: asyncio.AbstractEventLoop,
        launcher: Launcher,
    ) -> None:
        self.context_id = context_id
        self.language = language
        self.cwd = cwd
        self.name = name
        self.incarnation = 0
        self.running: Execution | None = None
        self.queue: deque[Execution] = deque()
        self._env = env
        self._start_timeout_s = start_timeout_s
        self._loop = loop
        self._launcher = launcher
        self._kernel: Kernel | None = None
        self._start: asyncio.Task[None] | None = None
        self._lending = asyncio.Lock()
        self._loss: Json | None = None
        # By the id of the message that started them; kept by whoever keeps the executions themselves.
        self._finished: WeakValueDictionary[str, Execution] = WeakValueDictionary()
        self._execution_count = 0
        self._created_at = self._active_at = now()
        self._timers: list[asyncio.TimerHandle] = []
        self._stall: asyncio.TimerHandle | None = None
        self._is_deleted = False

    # What requests ask for.

    async def start(self) -> None:
        """Starts the first kernel, or a new one where the last has ended; waits until it answers."""
        if self._is_deleted:
            raise RequestError("not_found", "there is no such context")
        if self._start is None or self._start.done():
            if self._kernel is not None and self._kernel.is_ready:
                return
            self._start = self._loop.create_task(self._start_kernel())
        await asyncio.shield(self._start)

    async def restart(self) -> None:
        running = self.running
        if running is not None and running.stopping is None:
            running.stopping = "restart"
        self._abandon_kernel()
        self._note_loss({"reason": "restarted"})
        if running is not None and not running.is_ended:
            self._end(running, "cancelled", variables="lost", reason="restarted", incarnation=self.incarnation + 1)
        await self.start()

    def delete(self) -> None:
        self._is_deleted = True
        for execution in [*self.queue]:
            execution.finish("cancelled", max(1, self.incarnation), variables="lost", reason="killed", death={"by": "delete"})
        self.queue.clear()
        running = self.running
        self._abandon_kernel()
        if running is not None and not running.is_ended:
            self._end(running, "cancelled", variables="lost", reason="killed", incarnation=self.incarnation, death={"by": "delete"})

    def submit(self, execution: Execution) -> str:
        if len(self.queue) >= limits.QUEUE:
            raise RequestError("limit_exceeded", f"{limits.QUEUE} executions wait in this context already")
        self.queue.append(execution)
        self._pump()
        return "running" if self.running is execution else "queued"

    def cancel(self, execution: Execution) -> str:
        if execution.is_ended:
            return "ended"
        if execution in self.queue:
            self.queue.remove(execution)
            execution.finish("cancelled", max(1, self.incarnation), variables="kept", reason=None)
            return "dropped"
        self._stop(execution, "cancelled")
        return "dropped" if execution.is_ended else "stopping"

    def acknowledged(self) -> None:
        """Some events of the running execution need not be kept any more."""
        if self.running is not None and not self.running.log.is_full:
            self._resume()

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Kernel]:
        """The kernel, to be asked something while nothing runs: what comes meanwhile waits until it is given back."""
        async with self._lending:
            if self.running is not None or self.queue or (self._start is not None and not self._start.done()):
                raise RequestError("busy", "the context is busy")
            if self._kernel is None or not self._kernel.is_ready:
                raise RequestError("kernel_died", "the context has no kernel now")
            try:
                yield self._kernel
            finally:
                # Behind the lock's release.
                self._loop.call_soon(self._pump)

    def processes(self) -> list[int]:
        return [] if self._kernel is None else self._kernel.processes()

    @property
    def kernel_pid(self) -> int:
        """0 where there is no kernel that lives."""
        return self._kernel.pid if self._kernel is not None and self._kernel.is_alive else 0

    def describe(self) -> Json:
        if self._start is not None and not self._start.done():
            state = "starting"
        elif self._kernel is None or not self._kernel.is_alive:
            state = "dead"
        else:
            state = "busy" if self.running is not None else "idle"
        return {
            "context_id": self.context_id,
            "language": self.language,
            "cwd": self.cwd,
            "name": self.name,
            "incarnation": max(1, self.incarnation),
            "state": state,
            "execution_count": self._execution_count,
            "queued": len(self.queue),
            "created_at": self._created_at,
            "last_activity_at": self._active_at,
            "loss": self._loss,
        }

    # The kernel's life.

    async def _start_kernel(self) -> None:
        if self._kernel is not None:
            # Or nobody would be told that the variables went with it.
            await self._kernel.buried()
            self._kernel.abandon()
        async with self._launcher.room.place():
            self.incarnation += 1
            self._kernel = Kernel(
                self._loop,
                await self._launcher.start(self.language, self.cwd, self._env),
                on_output=self._output,
                on_reply=self._reply,
                on_end=self._kernel_ended,
            )
            await self._kernel.ready(self._start_timeout_s)
        self._active_at = now()

    def _kernel_ended(self, kernel: Kernel) -> None:
        execution = self.running
        if execution is None or not execution.message_id:
            # It was idle: what waits for the next kernel is told of the loss.
            self._note_loss(kernel.death)
            return
        if execution.stopping is None:
            execution.notices.append("What the kernel said in its last milliseconds may be missing.")
        self._end_with_kernel(execution, execution.stopping or "died", kernel.death)

    def _end_with_kernel(self, execution: Execution, state: str, death: Json) -> None:
        told = stopped(execution.stopping) or death
        self._end(execution, state, variables="lost", reason=told["reason"], incarnation=self.incarnation + 1, death=told)

    def _note_loss(self, death: Json) -> None:
        """What the next execution will be told, unless an earlier loss is still untold."""
        if self._loss is None:
            self._loss = {**death, "incarnation": max(1, self.incarnation), "at": now()}

    def _abandon_kernel(self) -> None:
        if self._start is not None:
            self._start.cancel()
            # A task that was told to end has not ended yet; nobody may wait for it.
            self._start = None
        if self._kernel is not None:
            self._kernel.abandon()
            self._kernel = None

    # Executions.

    def _pump(self) -> None:
        if self.running is None and self.queue and not self._is_deleted and not self._lending.locked():
            self.running = self.queue.popleft()
            if self._kernel is not None and self._kernel.is_ready:
                self._send(self.running)
            else:
                self._loop.create_task(self._start_then_send(self.running))

    async def _start_then_send(self, execution: Execution) -> None:
        if execution.is_ended:
            return
        try:
            await self.start()
        except Exception as error:  # noqa: BLE001  whatever it is, the execution must end
            if execution.is_ended:
                return
            execution.fail_to_start(error)
            # A loss that is told with it was there before; the variables of a context that never had a kernel were none.
            death = {"reason": "exited", **(self._loss or {}), "no_kernel": True}
            self._end(execution, "died", variables="lost", reason=death["reason"], incarnation=max(1, self.incarnation), death=death)
            return
        except asyncio.CancelledError:
            return
        if execution.is_ended or execution is not self.running:
            return
        if self._kernel is not None and self._kernel.is_ready:
            self._send(execution)
        else:
            # It ended a moment after it had answered.
            await self._start_then_send(execution)

    def _send(self, execution: Execution) -> None:
        assert self._kernel is not None
        execution.look_at_files()
        loss, self._loss = self._loss, None
        stops_at = datetime.now(UTC) + timedelta(seconds=execution.timeout_s)
        execution.start(self.incarnation, loss, stops_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        self._later(execution.timeout_s, lambda: self._stop(execution, "timeout"))
        try:
            execution.message_id = self._kernel.execute(execution.code, execution.env)
        except OSError:
            self._kernel.reconnect()
            execution.message_id = self._kernel.execute(execution.code, execution.env)

    def _stop(self, execution: Execution, why: str) -> None:
        """Interrupt; a kernel that has not ended the code after the grace is killed."""
        if execution.is_ended or execution.stopping is not None:
            return
        execution.stopping = why
        if not execution.message_id:
            # Its kernel is still starting, and none of it ran.
            self._end(execution, "cancelled", variables="kept", reason=None, incarnation=max(1, self.incarnation))
            return
        # Output is read from now on whatever the server does, or a kernel that is held back could not see the interrupt.
        execution.log.drop()
        self._resume()
        kernel = self._kernel
        if kernel is None:
            return
        kernel.interrupt()
        self._later(limits.INTERRUPT_GRACE_S, lambda: self._end_grace(execution, kernel))

    def _end_grace(self, execution: Execution, kernel: Kernel) -> None:
        if execution.is_ended:
            return
        if execution.is_idle:
            # The interrupt met ipykernel between the code's end and its reply: no reply comes, and the kernel is well.
            self._complete(execution)
        else:
            kernel.kill()

    def _output(self, message: Message) -> None:
        execution = self.running
        if execution is None or not execution.message_id or message.parent_id != execution.message_id:
            # Of a thread or a process that an earlier execution has left: it belongs to that one, or to nobody.
            execution = self._finished.get(message.parent_id)
            if execution is not None and message.kind != "status":
                execution.output(message)
            return
        execution.output(message)
        if execution.stopping is not None:
            self._output_while_stopping(execution, message)
        if execution.is_complete:
            self._complete(execution)
        elif self._is_ahead_of_the_server(execution):
            self._hold_back(execution)
        elif execution.is_idle and message.kind == "status":
            self._expect_other_half(execution)

    def _output_while_stopping(self, execution: Execution, message: Message) -> None:
        if execution.log.is_full:
            execution.log.drop()
        if message.kind == "execute_input" and self._kernel is not None:
            # The interrupt came before the code had begun, when a kernel ignores it.
            self._later(limits.SECOND_INTERRUPT_S, self._kernel.interrupt)

    def _reply(self, message: Message) -> None:
        execution = self.running
        if execution is None or not execution.message_id or message.parent_id != execution.message_id:
            return
        execution.take_reply(message.content)
        if execution.is_complete:
            self._complete(execution)
        else:
            self._expect_other_half(execution)

    def _expect_other_half(self, execution: Execution) -> None:
        def give_up() -> None:
            if execution.is_ended or self._kernel is None:
                return
            if self._kernel.is_paused:
                # It is we who do not read; the other half will come when we do.
                self._expect_other_half(execution)
                return
            missing = "its end was not announced" if execution.reply is not None else "its reply did not come"
            execution.notices.append(f"The kernel's protocol was cut short: {missing}. Output may be missing.")
            self._kernel.reconnect()
            self._complete(execution)

        self._later(limits.SECOND_HALF_S, give_up)

    def _complete(self, execution: Execution) -> None:
        self._execution_count = execution.execution_count or self._execution_count
        state = "ok" if (execution.reply or {}).get("status") == "ok" else "error"
        if execution.stopping is not None:
            state = "timeout" if execution.stopping == "timeout" else "cancelled"
        kernel = self._kernel
        if kernel is not None and kernel.is_alive:
            self._end(execution, state, variables="kept", reason=None, incarnation=self.incarnation)
            return
        # These were its last words, and it is dead or about to be: its end is told here, and not once more.
        self._abandon_kernel()
        self._end_with_kernel(execution, state, {"reason": "exited"} if kernel is None else kernel.death)

    def _end(self, execution: Execution, state: str, *, variables: str, reason: str | None, incarnation: int, death: Json | None = None) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._resume()
        execution.report_files()
        if variables == "lost":
            # This execution tells it.
            self._loss = None
        execution.finish(state, incarnation, variables=variables, reason=reason, death=death)
        self._active_at = now()
        if execution.message_id:
            self._finished[execution.message_id] = execution
        if self.running is execution:
            self.running = None
        if variables == "lost" and not self._is_deleted and reason != "restarted":
            # A new kernel is on its way while the caller reads the reply.
            self._loop.create_task(self._start_quietly())
        self._pump()

    async def _start_quietly(self) -> None:
        try:
            await self.start()
        except BaseException:  # noqa: BLE001
            # Whoever needs the kernel next starts it again, and is told why it does not.
            pass

    # Holding the kernel back.

    def _is_ahead_of_the_server(self, execution: Execution) -> bool:
        if execution.stopping is not None or self._kernel is None or self._kernel.is_paused:
            return False
        return execution.log.is_full and not execution.log.is_dropping

    def _hold_back(self, execution: Execution) -> None:
        assert self._kernel is not None
        self._kernel.pause()
        self._stall = self._loop.call_later(limits.STALL_S, self._give_up_holding, execution)

    def _give_up_holding(self, execution: Execution) -> None:
        self._stall = None
        execution.log.drop()
        self._resume()

    def _resume(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if self._kernel is not None:
            self._kernel.resume()

    def _later(self, delay_s: float, action: Callable[[], None]) -> None:
        self._timers.append(self._loop.call_later(delay_s, action))
