"""Valid values in the form of the flow `refresh`."""

from flows.refresh import refresh
from stages.forget import LONGEST_DAYS


def test_as_many_days_may_be_given_as_the_command_takes() -> None:
    # Flows and stages import nothing of one another, so each has the bound.
    field = refresh.parameters.properties["stale_after_days"]
    assert [kind["maximum"] for kind in field["anyOf"] if "maximum" in kind] == [LONGEST_DAYS]
