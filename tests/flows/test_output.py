"""What stages and DVC print is understood."""

import io

from tqdm import tqdm

from flows.running.command import (
    Bar,
    failure_message,
    is_bar,
    is_busy,
    is_chatter,
    read_bar,
)

DVC_SAYS = "ERROR: failed to reproduce 'train': failed to run: python -m stages.train, exited with"


def drawn(**options: object) -> str:
    file = io.StringIO()
    with tqdm(file=file, ncols=100, **options) as bar:  # type: ignore[call-overload]
        bar.update(30)
        return str(bar)


def test_a_bar_has_a_label_and_a_percentage() -> None:
    assert read_bar(drawn(total=40, desc="train")) == Bar("train", 75)


def test_a_bar_without_a_label_is_none_of_a_stage() -> None:
    assert is_bar(drawn(total=40))
    assert read_bar(drawn(total=40)) is None


def test_a_bar_whose_end_is_not_known_is_a_bar_that_cannot_be_read() -> None:
    line = drawn(desc="images", unit="file")
    assert is_bar(line)
    assert read_bar(line) is None


def test_what_dvc_draws_before_a_bar_is_no_line_of_a_stage() -> None:
    assert is_bar("!")
    assert is_bar("!    ")
    assert not is_bar("done!")


def test_a_sentence_with_a_percentage_is_no_bar() -> None:
    assert not is_bar("100% of entities have a text")


def test_an_error_during_the_start_of_a_stage_is_the_last_line_of_its_traceback() -> None:
    lines = ["Traceback (most recent call last):", "  File x", "KeyError: 'a'", f"{DVC_SAYS} 1"]
    assert failure_message(lines) == "KeyError: 'a'"


def test_where_the_stage_never_began_dvc_says_why() -> None:
    lines = ["ERROR: failed to reproduce 'download': missing data 'source': my-graph"]
    assert failure_message(lines).endswith("missing data 'source': my-graph")


def test_what_dvc_tells_a_person_at_a_terminal_is_chatter() -> None:
    assert is_chatter("\tgit add dvc.lock")
    assert not is_chatter("training on cpu, 387 rows, 4 epochs")


BUSY = [
    "ERROR: failed to reproduce 'train': '/project/results/model' is busy, it is being blocked by:",
    "  (PID 4711): /usr/bin/dvc repro",
    "If there are no processes with such PIDs, you can manually remove '.dvc/tmp/rwlock' and try",
]


def test_files_that_another_process_of_dvc_works_on_are_no_failure_of_the_stage() -> None:
    assert is_busy(BUSY)
    assert all(map(is_chatter, BUSY))
    assert is_busy(["ERROR: Unable to acquire lock. Most likely another DVC process is running"])
    assert not is_busy(
        ["error: the device is busy, it is being blocked by: nobody", f"{DVC_SAYS} 1"]
    )
