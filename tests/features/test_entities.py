import pytest

from imf_core.features.entities import entity_text


@pytest.mark.parametrize(
    ("label", "name", "description", "text"),
    [
        ("/m/01", "Oslo", "A city.", "Oslo. A city."),
        ("/m/01", "Oslo", "", "Oslo"),
        ("/m/01", "Washington, D.C.", "A city.", "Washington, D.C. A city."),
        ("Oslo", "Oslo", "A city.", "Oslo. A city."),
        ("/m/01", " ", "A city.", "A city."),
        ("/m/01", "/m/01", "  ", ""),
        ("Oslo", "Oslo", "", ""),
    ],
)
def test_name_and_description_are_joined_and_a_bare_label_is_no_text(
    label: str, name: str, description: str, text: str
) -> None:
    assert entity_text(label, name, description) == text
