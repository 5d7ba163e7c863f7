"""What the server can ask for, by the names of the protocol's requests."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from . import limits, ports, usage
from .context import Context
from .environment import requested
from .errors import RequestError
from .event_log import EventLog
from .execution import Execution
from .files import Files
from .inspection import inspect
from .install import Install
from .launcher import Launcher
from .paths import HOME, Paths
from .pictures import Pictures
from .process_list import list_processes
from .processes import Processes
from .reaper import Reaper
from .search import Search
from .transfer import Transfer
from .tree import Tree
from .watch import Watch

Json = dict[str, Any]


class Service:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        send_event: Callable[[bytes, bool], None],
        shut_down: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._send_event = send_event
        self._shut_down = shut_down
        self._reaper = Reaper(loop)
        self._launcher = Launcher(loop, self._reaper)
        self._paths = Paths()
        self._files = Files(self._paths)
        self._tree = Tree(self._paths)
        self._watch = Watch(loop, self._paths)
        self._pictures = Pictures(loop, self._reaper)
        self._processes = Processes(loop, self._reaper, self._paths)
        self._search = Search(loop, self._reaper, self._paths)
        self._install = Install(loop, self._reaper, self._paths)
        self._contexts: dict[str, Context] = {}
        self._executions: dict[str, Execution] = {}
        # Only executions that a server has asked for since it attached are sent on.
        self._followed: set[str] = set()

    def hello(self) -> Json:
        return {
            "version": os.environ.get("KERNELBOX_IMAGE_VERSION", ""),
            "languages": os.environ.get("KERNELBOX_LANGUAGES", "python").split(","),
            "pid": os.getpid(),
            "executions": [
                {
                    "execution_id": execution.execution_id,
                    "context_id": execution.context_id,
                    "status": execution.state,
                    "last_event": execution.log.last,
                }
                for execution in list(self._executions.values())[-limits.HELLO_EXECUTIONS :]
            ],
        }

    def attached(self) -> None:
        self._followed.clear()

    async def handle(self, method: str, params: Json, transfer: Transfer) -> Json | None:
        match method:
            case "context.create":
                return await self._create_context(params)
            case "context.restart":
                context = self._context(params)
                await context.restart()
                return context.describe()
            case "context.delete":
                deleted = self._contexts.pop(params["context_id"], None)
                if deleted is not None:
                    deleted.delete()
                return {}
            case "context.get":
                return self._context(params).describe()
            case "context.inspect":
                return await inspect(self._context(params), params, self._paths)
            case "context.list":
                return {"contexts": [context.describe() for context in self._contexts.values()]}
            case "execution.start":
                return self._start_execution(params)
            case "execution.cancel":
                execution = self._execution(params)
                context_or_none = self._contexts.get(execution.context_id)
                return {"state": "ended" if context_or_none is None else context_or_none.cancel(execution)}
            case "execution.events":
                return self._events(params)
            case "execution.ack":
                return self._acknowledge(params)
            case "file.read":
                return await self._files.read(params, transfer)
            case "file.write":
                return await self._files.write(params, transfer)
            case "file.stat":
                return self._files.stat(params)
            case "file.list":
                return self._files.list(params)
            case "file.make":
                return self._tree.make(params)
            case "file.move":
                return await self._tree.move(params)
            case "file.remove":
                return await self._tree.remove(params)
            case "file.search":
                return await self._search.search(params)
            case "file.changes":
                return await self._watch.changes(params)
            case "process.start":
                return await self._processes.start(params)
            case "process.follow":
                return await self._processes.follow(params, transfer)
            case "process.write":
                return await self._processes.write(params, transfer)
            case "process.kill":
                return await self._processes.kill(params)
            case "process.get":
                return await self._processes.get(params)
            case "process.forget":
                return self._processes.forget(params)
            case "process.list":
                return self._list_processes()
            case "port.wait":
                return await ports.wait_for(params, self._loop)
            case "picture.fit":
                return await self._pictures.fit(params, transfer)
            case "package.look":
                return await self._install.look(params)
            case "package.install":
                return await self._install.install(params, transfer)
            case "usage":
                return usage.usage()
            case "shutdown":
                self._loop.call_soon(self._shut_down)
                return {}
        raise RequestError("unsupported", "there is no such method")

    async def _create_context(self, params: Json) -> Json:
        context_id = params["context_id"]
        known = self._contexts.get(context_id)
        is_new = known is None
        if known is None:
            if len(self._contexts) >= limits.CONTEXTS:
                raise RequestError("limit_exceeded", f"there are {limits.CONTEXTS} contexts already")
            known = Context(
                context_id,
                language=params["language"],
                cwd=self._working_folder(params.get("cwd") or HOME),
                env=requested(params),
                name=params.get("name"),
                start_timeout_s=float(params.get("start_timeout_s") or limits.START_TIMEOUT_S),
                loop=self._loop,
                launcher=self._launcher,
            )
            self._contexts[context_id] = known
        try:
            await known.start()
        except BaseException:
            # One that was there before, and that a server asks for again, stays.
            if is_new:
                self._contexts.pop(context_id, None)
                known.delete()
            raise
        return known.describe()

    def _list_processes(self) -> Json:
        """All that runs, whoever started it, without what is ours alone."""
        contexts = {context.kernel_pid: context.context_id for context in self._contexts.values() if context.kernel_pid}
        template_pid = self._launcher.template_pid
        ours = {os.getpid(), template_pid, *self._processes.keepers()}
        return list_processes(self._processes.members(), contexts, ours, template_pid)

    def _working_folder(self, cwd: str) -> str:
        path = self._paths.normal(cwd)
        self._paths.make_directories(path)
        return path

    def _start_execution(self, params: Json) -> Json:
        execution_id = params["execution_id"]
        known = self._executions.get(execution_id)
        if known is not None:
            # Asked again, by a server whose first answer was lost.
            self._followed.add(execution_id)
            return {"state": known.state}
        context = self._context(params)
        code = params["code"]
        if not isinstance(code, str) or len(code) > limits.CODE_BYTES:
            raise RequestError("too_large", f"more than {limits.CODE_BYTES} characters of code")
        timeout_s = float(params["timeout_s"])
        if not 0 < timeout_s <= limits.TIMEOUT_S_MAX:
            raise RequestError("invalid_argument", "the timeout is not valid")
        self._forget_old()

        def send(message: bytes, hold: bool) -> None:
            if execution_id in self._followed:
                self._send_event(message, hold)

        execution = Execution(
            execution_id,
            context.context_id,
            code,
            timeout_s,
            requested(params),
            EventLog(execution_id, context.context_id, send),
        )
        self._followed.add(execution_id)
        self._executions[execution_id] = execution
        try:
            return {"state": context.submit(execution)}
        except RequestError:
            del self._executions[execution_id]
            raise

    def _events(self, params: Json) -> Json:
        execution = self._execution(params)
        self._followed.add(execution.execution_id)
        execution.log.replay(int(params.get("after") or 0))
        return {"last_event": execution.log.last}

    def _acknowledge(self, params: Json) -> Json:
        execution = self._executions.get(params["execution_id"])
        if execution is not None:
            execution.log.acknowledge(int(params["seq"]))
            context = self._contexts.get(execution.context_id)
            if context is not None and context.running is execution:
                context.acknowledged()
        return {}

    def _forget_old(self) -> None:
        """Ended executions are kept for a server that comes back: so many, so long, and in so much memory."""
        now = self._loop.time()
        ended = [execution for execution in self._executions.values() if execution.is_ended]
        kept_bytes = sum(execution.log.kept_bytes for execution in ended)
        for at, execution in enumerate(ended):
            is_surplus = len(ended) - at >= limits.ENDED_EXECUTIONS or kept_bytes > limits.ENDED_BYTES
            if is_surplus or now - execution.ended > limits.ENDED_EXECUTION_S:
                kept_bytes -= execution.log.kept_bytes
                self._executions.pop(execution.execution_id, None)
                self._followed.discard(execution.execution_id)

    def _context(self, params: Json) -> Context:
        context = self._contexts.get(params["context_id"])
        if context is None:
            raise RequestError("not_found", "there is no such context")
        return context

    def _execution(self, params: Json) -> Execution:
        execution = self._executions.get(params["execution_id"])
        if execution is None:
            raise RequestError("not_found", "there is no such execution")
        return execution
