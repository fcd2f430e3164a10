"""The console's kernel: requests as Jupyter's protocol has them, answered on a thread of this process.

No sockets and no other process: requests go into the thread's queue, answers to a callback.
"""

from __future__ import annotations

import datetime
import queue
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.scripting.driver import POLL_SECONDS
from app.scripting.long_lines import bounded, broken
from app.scripting.script_file import Failure, run_script
from app.scripting.shell import ConsoleShell, make_shell
from app.scripting.streams import printing_to
from app.scripting.worker import ScriptThread

Message = dict[str, Any]
Send = Callable[[str, Message], None]  # (shell | iopub | stdin, message); called on the kernel's thread


def make_message(kind: str, content: dict[str, Any], session: str, parent: dict[str, Any] | None = None) -> Message:
    """A message of Jupyter's protocol."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "session": session, "username": "", "version": "5.3"}
    header["date"] = datetime.datetime.now(datetime.UTC)
    return {
        "header": header,
        "msg_id": header["msg_id"],
        "msg_type": kind,
        "parent_header": parent or {},
        "content": content,
        "metadata": {},
        "buffers": [],
    }


class Kernel:
    """`request`, `run`, `interrupt` and `shut_down` return at once; code runs in order, on the kernel's thread."""

    def __init__(
        self, send: Send, names: Callable[[], dict[str, Any]], folder: Path | None = None, dark: bool = False
    ) -> None:
        self._send, self._make_names = send, names
        self._session = uuid.uuid4().hex
        self._parent: dict[str, Any] = {}
        self._shell: ConsoleShell | None = None
        self._detached = threading.Event()
        self._column = 0  # how long the line is that is being printed
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()  # what the user typed for `input`
        self._thread = ScriptThread()
        self._thread.put(lambda: self._begin(folder, dark))

    @property
    def busy(self) -> bool:
        """Whether code runs."""
        return self._thread.busy

    def request(self, message: Message) -> None:
        """Answer a request of the front end."""
        self._thread.put(lambda: self._answer(message))

    def run(self, text: str, file: str, done: Callable[[Failure | None, bool], None]) -> None:
        """Run a script's text in the console's namespace; `done(failure, interrupted)` is called on this thread."""
        self._thread.put(lambda: self._run(text, file, done))

    def typed(self, line: str) -> None:
        """What the user answered to `input`."""
        self._lines.put(line)

    def set_dark(self, dark: bool) -> None:
        """Choose the colours of tracebacks and help texts."""
        self._thread.put(lambda: self._shell.run_line_magic("colors", "linux" if dark else "lightbg"))

    def interrupt(self) -> bool:
        """Raise KeyboardInterrupt in what runs; whether something ran."""
        return self._thread.interrupt()

    def shut_down(self, seconds: float = 1.0) -> bool:
        """End the thread; what cannot be ended is left behind, silent. Whether it ended."""
        self._detached.set()
        self._thread.end(self._end)
        return self._thread.join(seconds)

    # ---- on the kernel's thread

    def _begin(self, folder: Path | None, dark: bool) -> None:
        names = self._make_names()
        try:
            self._shell = make_shell(self._publish, names, folder, dark)
        except Exception:  # a history file that cannot be opened must not cost the console
            self._shell = make_shell(self._publish, names, None, dark)
        self._shell.user_ns["input"] = self._input

    def _end(self) -> None:
        import atexit

        if self._shell is not None:
            atexit.unregister(self._shell.atexit_operations)
            self._shell.atexit_operations()
            self._shell = None

    def _emit(self, channel: str, kind: str, content: dict[str, Any], parent: dict[str, Any] | None = None) -> None:
        if not self._detached.is_set():
            parent = self._parent if parent is None else parent
            self._send(channel, make_message(kind, content, self._session, parent))

    def _publish(self, kind: str, content: dict[str, Any]) -> None:
        self._emit("iopub", kind, bounded(content))

    def _print(self, name: str, text: str) -> None:
        if self._detached.is_set():
            raise KeyboardInterrupt  # a console that was left behind has nobody to print to
        text, self._column = broken(text, self._column)
        self._publish("stream", {"name": name, "text": text})

    def _input(self, prompt: object = "") -> str:
        """One line of what the user types."""
        while not self._lines.empty():
            self._lines.get()
        self._emit("stdin", "input_request", {"prompt": str(prompt), "password": False})
        while True:
            try:
                return self._lines.get(timeout=POLL_SECONDS)
            except queue.Empty:
                pass

    def _answer(self, message: Message) -> None:
        self._parent, self._column = message["header"], 0
        kind = message["msg_type"].removesuffix("_request")
        self._publish("status", {"execution_state": "busy"})
        content: dict[str, Any] = {"status": "aborted"}
        try:
            with printing_to(self._print):
                content = {"status": "ok"} | getattr(self, f"_{kind}")(message["content"])
        except KeyboardInterrupt:
            if kind == "execute":  # it came before or after the cell itself
                content = self._reply("error")
        except Exception as error:
            content = {"status": "error", "ename": type(error).__name__, "evalue": str(error), "traceback": []}
            content |= {"execution_count": self._shell.execution_count} if self._shell is not None else {}
        self._emit("shell", f"{kind}_reply", content)
        self._publish("status", {"execution_state": "idle"})
        self._parent = {}

    def _reply(self, status: str) -> dict[str, Any]:
        count = self._shell.execution_count
        return {"status": status, "execution_count": count, "payload": [], "user_expressions": {}}

    def _execute(self, content: dict[str, Any]) -> dict[str, Any]:
        shell = self._shell
        silent, code = bool(content.get("silent")), content.get("code", "")
        number = shell.execution_count
        status = "ok"
        if code.strip():
            result = shell.run_cell(
                code, store_history=not silent and content.get("store_history", True), silent=silent
            )
            status = "ok" if result.success else "error"
        if silent:  # the front end asks for the number of the newest prompt this way
            number = shell.execution_count - 1
        payload = shell.payload_manager.read_payload()
        shell.payload_manager.clear_payload()
        expressions = shell.user_expressions(content.get("user_expressions") or {})
        return {"status": status, "execution_count": number, "payload": payload, "user_expressions": expressions}

    def _complete(self, content: dict[str, Any]) -> dict[str, Any]:
        code, cursor = content["code"], content["cursor_pos"]
        from IPython.core.completer import provisionalcompleter, rectify_completions

        with provisionalcompleter():
            found = list(rectify_completions(code, self._shell.Completer.completions(code, cursor)))
        start, end = (found[0].start, found[0].end) if found else (cursor, cursor)
        matches = [item.text for item in found]
        return {"matches": matches, "cursor_start": start, "cursor_end": end, "metadata": {}}

    def _inspect(self, content: dict[str, Any]) -> dict[str, Any]:
        from IPython.utils.tokenutil import token_at_cursor

        name = token_at_cursor(content["code"], content["cursor_pos"])
        try:
            data = self._shell.object_inspect_mime(name, detail_level=content.get("detail_level", 0))
        except KeyError:
            return {"found": False, "data": {}, "metadata": {}}
        return {"found": True, "data": data, "metadata": {}}

    def _history(self, content: dict[str, Any]) -> dict[str, Any]:
        tail = self._shell.history_manager.get_tail(content.get("n", 1000), raw=True, include_latest=True)
        return {"history": list(tail)}

    def _is_complete(self, content: dict[str, Any]) -> dict[str, Any]:
        status, indent = self._shell.input_transformer_manager.check_complete(content["code"])
        return {"status": status, "indent": " " * (indent or 0)}

    def _kernel_info(self, _content: dict[str, Any]) -> dict[str, Any]:
        language = {"name": "python", "pygments_lexer": "ipython3", "file_extension": ".py"}
        return {"protocol_version": "5.3", "implementation": "unrender", "banner": "", "language_info": language}

    def _run(self, text: str, file: str, done: Callable[[Failure | None, bool], None]) -> None:
        failure, interrupted = None, False
        try:
            with printing_to(self._print), self._shell.builtin_trap:
                failure = run_script(text, file, self._shell.user_ns)
        except KeyboardInterrupt:
            interrupted = True
        if failure is not None:
            text, _ = broken(f"\x1b[91m{failure.details.rstrip()}\x1b[0m\n")
            self._publish("stream", {"name": "stderr", "text": text})
        elif interrupted:
            self._publish("stream", {"name": "stderr", "text": "\x1b[91mInterrupted\x1b[0m\n"})
        done(failure, interrupted)
