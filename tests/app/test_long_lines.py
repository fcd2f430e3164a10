"""Lines longer than a console can show are broken, wherever they come from."""

from __future__ import annotations

import re
import threading

import pytest

from app.scripting.kernel import Kernel, make_message
from app.scripting.long_lines import LONGEST, MOST, bounded, broken


@pytest.fixture
def told():
    """`told(code)` runs code in a console's kernel; the messages that it sent."""
    idle, messages = threading.Event(), []

    def send(channel, message):
        messages.append(message)
        if message["msg_type"] == "execute_reply":
            idle.set()

    kernel = Kernel(send, dict)

    def run(code: str) -> list:
        kernel.request(make_message("execute_request", {"code": code}, "test"))
        assert idle.wait(60)
        idle.clear()
        return [message["content"] for message in messages]

    yield run
    assert kernel.shut_down(60)


def longest(text: str) -> int:
    return max(len(line) for line in re.split("[\n\r]", text))


@pytest.mark.parametrize(
    "code",
    [
        "print('z' * 5_000_000)",
        "import sys\nfor _ in range(3000): sys.stdout.write('zz')\n",
        "import sys\nsys.stderr.write('z' * 9999)\n",
    ],
)
def test_what_is_printed_holds_no_line_that_is_too_long(told, code):
    contents = told(code)
    text = "".join(content["text"] for content in contents if "text" in content)
    assert text.count("z") >= 6000 and longest(text) <= LONGEST


def test_results_and_errors_are_cut_and_broken(told):
    results = [content["data"]["text/plain"] for content in told("'z' * 5_000_000") if "data" in content]
    assert len(results) == 1 and longest(results[0]) <= LONGEST and len(results[0]) < MOST + 100
    assert "4,980,002 characters more" in results[0]
    errors = [content for content in told("raise ValueError('z' * 50_000)") if content.get("traceback")]
    assert errors and all(longest(line) <= LONGEST for line in errors[-1]["traceback"])


@pytest.mark.parametrize("size", [0, 1, LONGEST - 1, LONGEST, LONGEST + 1, 3 * LONGEST, 3 * LONGEST + 7])
@pytest.mark.parametrize("end", ["", "\n", "\r"])
@pytest.mark.parametrize("column", [0, 1, LONGEST - 1, LONGEST])
def test_nothing_is_lost_where_lines_are_broken(size, end, column):
    text, after = broken("z" * size + end, column)
    assert text.replace("\n", "") == "z" * size + end.replace("\n", "")
    assert longest("y" * column + text) <= LONGEST
    assert text.endswith(end) and after == (0 if end else len(("y" * column + text).split("\n")[-1]))


def test_colours_are_not_cut_in_two():
    for before in range(LONGEST - 8, LONGEST + 1):
        text, _ = broken("z" * before + "\x1b[91mred\x1b[0m")
        assert "\x1b[91m" in text and "\x1b[0m" in text


def test_short_lines_stay_as_they_are():
    text = "a\nb\r\n" + "c" * LONGEST
    assert broken(text) == (text, LONGEST)
    content = {"data": {"text/plain": "42"}, "metadata": {}}
    assert bounded(content) == content
