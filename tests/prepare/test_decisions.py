"""The file of decisions: what a line may hold, which decision counts, and who may write."""

import errno
import multiprocessing
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tiny_world import ROOT

from imf_core.base.errors import DataError
from imf_core.prepare.decisions import (
    Decision,
    append_decisions,
    find_latest,
    format_decision,
    read_decisions,
)

LINE = (
    '{"head": "a", "relation": "r", "tail": "b", "decision": "accepted", "by": "Ada", "at": '
    '"2026-03-01T09:30:00Z"}'
)


def made(
    decision: str = "accepted", at: str = "2026-03-01T09:30:00Z", **fields: object
) -> Decision:
    values = {"head": "a", "relation": "r", "tail": "b", "by": "Ada", **fields}
    return Decision(decision=decision, at=at, **values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "decisions.jsonl"
    path.touch()
    return path


HOSTILE = [
    "a\tb",
    "a\nb\r",
    "=HYPERLINK(1)",
    "\u202egnihtemos\u2066",
    "\x1b[31mred\x07",
    'a "quoted" \\ label',
    "<script>alert(1)</script>",
    "\u2028\x85\x00",
    "\N{ZERO WIDTH NO-BREAK SPACE}x",
    "\U000e0041tag",
    "نامه\u200cها",
    "🇫🇷 ünï",
]


@pytest.mark.parametrize("label", HOSTILE)
def test_any_label_comes_back_from_one_printable_line(label: str, path: Path) -> None:
    decision = made(head=label, tail=label, by=label, note=label, probability=0.25, model="5f2c")
    append_decisions(path, [decision, made()])
    assert read_decisions(path) == [decision, made()]
    first, *others = path.read_bytes().splitlines()
    assert len(others) == 1
    assert all(each.isprintable() or each == "\u200c" for each in first.decode())


def test_letters_stay_readable(path: Path) -> None:
    append_decisions(path, [made(head="Ürümqi", note="乌鲁木齐")])
    assert "Ürümqi" in path.read_text(encoding="utf-8")
    assert "乌鲁木齐" in path.read_text(encoding="utf-8")


def test_an_empty_file_has_no_decisions(path: Path) -> None:
    path.touch()
    assert read_decisions(path) == []


def test_a_missing_file_is_an_error_with_its_key_and_stays_missing(path: Path) -> None:
    path.unlink()
    message = r"dataset\.decisions in params\.yaml\) is not a file"
    with pytest.raises(DataError, match=message):
        read_decisions(path)
    with pytest.raises(DataError, match=message):
        append_decisions(path, [made()])
    assert not path.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a\tr\tb\taccepted", "a decision is one JSON object"),
        ("[1]", "a decision is one JSON object"),
        ("{", "a decision is one JSON object"),
        (LINE[:-1], "a decision is one JSON object"),
        (LINE.replace("accepted", "maybe"), "decision must be one of accepted, rejected"),
        (LINE.replace('"a"', '" "'), "a label or name must not be blank"),
        (LINE.replace('"a"', '"\\ud800"'), "half of a surrogate pair"),
        (LINE.replace('"a"', "3"), "head must be a string"),
        ("null", "a decision is one JSON object"),
        (LINE.replace("{", '{"decision": "rejected", ', 1), "the field 'decision' occurs twice"),
        (LINE.replace('"head"', '"haed"'), "head is missing|unknown key haed"),
        (LINE.replace("09:30:00Z", "09:30"), "at must be a time in UTC such as"),
        (LINE.replace("03-01", "02-30"), "at must be a time in UTC such as"),
        (LINE[:-1] + ', "probability": 1.5}', "probability must be less than or equal to 1"),
        (LINE[:-1] + ', "probability": NaN}', "probability must be"),
        ("<<<<<<< HEAD", "a conflict marker of Git .<<<<<<<.; keep the lines of both sides"),
        ("=======", "a conflict marker"),
    ],
)
def test_a_bad_line_is_an_error_with_file_line_and_remedy(
    line: str, message: str, path: Path
) -> None:
    path.write_text(f"{LINE}\n\n{line}\n")
    with pytest.raises(DataError, match=message) as caught:
        read_decisions(path)
    assert str(caught.value).startswith(f"{path}, line 3: ")
    assert "; " in str(caught.value)
    before = path.read_bytes()
    with pytest.raises(DataError, match=message):
        append_decisions(path, [made()])
    assert path.read_bytes() == before


def test_the_latest_decision_counts_wherever_its_line_is(path: Path) -> None:
    late, early = made("rejected", "2026-03-02T00:00:00Z"), made("accepted")
    other = made("unsure", head="c")
    path.write_text("".join(f"{format_decision(each)}\n" for each in (late, other, early)))
    assert find_latest(read_decisions(path)) == {late.fact: late, other.fact: other}


def test_of_one_time_the_line_further_down_counts(path: Path) -> None:
    append_decisions(path, [made("accepted"), made("rejected")])
    assert find_latest(read_decisions(path))["a", "r", "b"].decision == "rejected"


def test_a_withdrawn_decision_is_none(path: Path) -> None:
    append_decisions(path, [made("rejected"), made("withdrawn")])
    assert find_latest(read_decisions(path)) == {}


def test_a_clock_that_is_behind_loses_no_decision(path: Path) -> None:
    append_decisions(path, [made("accepted", "2026-03-09T00:00:00Z")])
    _, (written,) = append_decisions(path, [made("rejected", "2026-03-01T00:00:00Z")])
    assert written.at == "2026-03-09T00:00:00Z"
    assert find_latest(read_decisions(path))["a", "r", "b"].decision == "rejected"


def test_a_line_without_its_end_is_completed_first(path: Path) -> None:
    path.write_text(LINE)
    append_decisions(path, [made("unsure", head="c")])
    assert [each.head for each in read_decisions(path)] == ["a", "c"]


def test_a_full_disk_leaves_the_earlier_lines(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_decisions(path, [made()])
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        append_decisions(path, [made("rejected")])
    assert path.read_bytes() == before


def _append_many(path: Path, by: str) -> None:
    for number in range(40):
        append_decisions(path, [made(head=f"{by}{number}", by=by)] * 2)


def test_two_processes_append_at_once_and_lose_nothing(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(path, by)) for by in ("Ada", "Bob")]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert [each.exitcode for each in writers] == [0, 0]
    found = read_decisions(path)
    assert len(found) == 160
    assert found[::2] == found[1::2]  # the lines of one call stay together
    assert list(path.parent.iterdir()) == [path]


def test_the_decisions_of_two_branches_merge_without_a_conflict(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    shutil.copy(ROOT / ".gitattributes", tmp_path)
    path = tmp_path / "decisions.jsonl"
    path.touch()
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "start")
    for by in ("Ada", "Bob"):
        git("checkout", "-q", "-b", by, "main")
        append_decisions(path, [made(head=f"of {by}", by=by)])
        git("commit", "-qam", by)
    git("merge", "-q", "-m", "both", "Ada")
    assert sorted(each.by for each in read_decisions(path)) == ["Ada", "Bob"]
