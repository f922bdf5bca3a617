import argparse
import io
import logging
import subprocess
import sys
import traceback
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_world import ROOT
from tqdm import tqdm

from imf_core.base.terminal import JOINERS, escaped, is_format, protect_output

ANY_TEXT = st.text(st.characters(exclude_categories=()))


class Terminal(io.TextIOWrapper):
    """A stream with an encoding and readable bytes."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding=encoding, write_through=True, newline="")

    @property
    def shown(self) -> str:
        return self.bytes.getvalue().decode(self.encoding)


Protect = Callable[..., tuple[Terminal, Terminal]]


@pytest.fixture
def protect(monkeypatch: pytest.MonkeyPatch) -> Protect:
    """Returns a function that protects a new standard output and standard error."""

    def make(encoding: str = "utf-8") -> tuple[Terminal, Terminal]:
        out, err = Terminal(encoding), Terminal(encoding)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        protect_output()
        return out, err

    return make


def is_unsafe(character: str) -> bool:
    is_control = unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"}
    return (is_control or is_format(character)) and character not in JOINERS + "\t\n"


def test_every_control_invisible_or_turning_character_is_escaped() -> None:
    characters = map(chr, range(sys.maxunicode + 1))
    assert [
        hex(ord(each)) for each in characters if is_unsafe(each) and escaped(each) == each
    ] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb", "a\\x0db"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202elive\u2066", "\\u202elive\\u2066"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("a\u2028b", "a\\u2028b"),
        ("\U000e0041", "\\U000e0041"),
        ("\udcff", "\\udcff"),
    ],
)
def test_an_escape_names_the_character(text: str, shown: str) -> None:
    assert escaped(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "tab\tand\nline",
        "ירושלים القاهرة 東京 서울 Zalgo\u0300\u0301 क\u094dष",
        "می\u200cخواهم 👨\u200d👩\u200d👧 🇧🇷 ❤\ufe0f",
        "\u0600\u06dd\u070f\u0890\U000110bd\U00013430",
        "a\xa0b\u3000c\\x1b",
    ],
)
def test_text_of_any_script_stays_as_it_is(text: str) -> None:
    assert escaped(text) == text


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT)
def test_escaped_text_is_safe_and_escaping_it_again_changes_nothing(text: str) -> None:
    once = escaped(text)
    assert not any(map(is_unsafe, once))
    assert escaped(once) == once
    once.encode("utf-8")


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT)
def test_printable_text_is_never_changed(text: str) -> None:
    plain = "".join(filter(str.isprintable, text))
    assert escaped(plain) == plain


def test_all_that_is_printed_is_escaped(protect: Protect) -> None:
    out, _ = protect()
    print("a\x1b[2J", "\rb", sep=" ", end="\u202e\n")
    sys.stdout.writelines(["c\x07\n"])
    assert out.shown == "a\\x1b[2J \\x0db\\u202e\nc\\x07\n"


def test_tracebacks_and_logs_are_escaped(protect: Protect) -> None:
    _, err = protect()
    traceback.print_exception(ValueError("\x1b[31m"))
    logging.lastResort.handle(  # type: ignore[union-attr]
        logging.LogRecord("x", logging.WARNING, "", 0, "\rname\x1b", None, None)
    )
    assert not any(map(is_unsafe, err.shown))
    assert "\\x0dname\\x1b" in err.shown


def test_a_log_handler_made_before_is_escaped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", Terminal())
    logger = logging.getLogger("made_before")
    handler = logging.StreamHandler()
    logger.addHandler(handler)
    try:
        protect_output()
        logger.warning("a\x1bb")
    finally:
        logger.removeHandler(handler)
    assert terminal.shown == "a\\x1bb\n"


def test_a_progress_bar_moves_the_cursor_and_its_label_does_not(protect: Protect) -> None:
    _, err = protect()
    with tqdm(total=2, desc="a\x1b[2J\rb", ascii=True) as outer:
        for _ in tqdm(range(2), desc="inner", leave=False, position=1):
            outer.update()
    assert err.shown.startswith("\ra\\x1b[2J\\x0db: ")
    assert "\n\rinner" in err.shown
    assert "\x1b[A" in err.shown
    assert "\x1b" not in err.shown.replace("\x1b[A", "")


def test_a_print_cannot_pass_for_a_progress_bar(protect: Protect) -> None:
    _, err = protect()
    print("\rname\x1b[A", file=sys.stderr)
    print("\x1b[Aname", file=sys.stderr)
    assert err.shown == "\\x0dname\\x1b[A\n\\x1b[Aname\n"


def test_output_is_protected_once(protect: Protect) -> None:
    out, _ = protect()
    before = sys.stdout
    protect_output()
    assert sys.stdout is before
    assert sys.stdout.encoding == "utf-8"
    assert out.shown == ""


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
def test_what_an_encoding_lacks_is_printed_as_escapes(protect: Protect, encoding: str) -> None:
    out, _ = protect(encoding)
    print("東京 e")
    assert out.shown == "\\u6771\\u4eac e\n"


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=["latin-1", "C"],
)
def test_a_command_prints_and_fails_in_any_locale(environment: dict[str, str]) -> None:
    code = (
        "from stages.runner import run_stage\n"
        "def stage():\n"
        "    print('\\u6771\\u4eac', '\\u202e\\x1b')\n"
        "    raise ValueError('\\u6771\\u4eac \\u202e\\x1b\\udcff')\n"
        "run_stage(stage)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False, cwd=ROOT
    )
    assert done.stdout == b"\\u6771\\u4eac \\u202e\\x1b\n"
    assert done.stderr.endswith(b"ValueError: \\u6771\\u4eac \\u202e\\x1b\\udcff\n")


def test_a_wrong_argument_is_printed_escaped(protect: Protect) -> None:
    _, err = protect()
    with pytest.raises(SystemExit):
        argparse.ArgumentParser("x").parse_args(["\x1b[2J"])
    assert "\\x1b[2J" in err.shown
    assert "\x1b" not in err.shown
