"""Valid values in the form of the flow `refresh`."""

from cli.__main__ import LONGEST_DAYS
from flows.refresh import refresh


def test_as_many_days_may_be_given_as_the_command_takes() -> None:
    # Flows import nothing of the commands, so each has the bound.
    field = refresh.parameters.properties["stale_after_days"]
    assert [kind["maximum"] for kind in field["anyOf"] if "maximum" in kind] == [LONGEST_DAYS]
