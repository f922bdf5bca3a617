from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from web_inputs import fetch_params

from imf_core.web.responses import back_off_seconds, retry_after_seconds, user_agent


def test_an_empty_contact_is_left_out_of_our_name() -> None:
    assert user_agent(fetch_params()) == "imf/0.1 (multimodal knowledge-graph completion)"


def test_back_off_doubles_and_is_the_same_each_time() -> None:
    pauses = [back_off_seconds("http://example.org/a", failures) for failures in (1, 2, 3)]
    assert pauses == [back_off_seconds("http://example.org/a", number) for number in (1, 2, 3)]
    for pause, middle in zip(pauses, (0.001, 0.002, 0.004), strict=True):
        assert 0.5 * middle <= pause <= 1.5 * middle
    assert back_off_seconds("http://example.org/b", 1) != pauses[0]


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, None), ("7", 7.0), (" 0 ", 0.0), ("soon", None), ("-1", None)]
)
def test_a_retry_after_header_is_seconds_or_nothing(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(header) == seconds


def test_a_retry_after_header_may_be_a_date() -> None:
    moment = datetime.now(UTC).replace(microsecond=0)
    later = retry_after_seconds(format_datetime(moment + timedelta(hours=1), usegmt=True))
    assert later is not None
    assert 3500 < later <= 3600
    assert retry_after_seconds(format_datetime(moment - timedelta(hours=1), usegmt=True)) == 0.0
