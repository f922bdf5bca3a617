"""Addresses and credits of images."""

from made_wikimedia import Wikimedia

from imf_core.wikimedia.api import Client
from imf_core.wikimedia.commons import Credit, image_url, look_up_credits

HOST = "commons.wikimedia.org"


def test_an_image_is_asked_for_at_a_width() -> None:
    assert image_url("A/B é?.jpg", 330) == (
        "https://commons.wikimedia.org/wiki/Special:FilePath/A%2FB_%C3%A9%3F.jpg?width=330"
    )


def test_licence_and_author_are_kept_as_plain_text(world: Wikimedia, web: Client) -> None:
    world.credits["File:A b.jpg"] = {
        "LicenseShortName": "CC BY-SA 4.0",
        "Artist": '<a href="//commons.wikimedia.org/wiki/User:Ann" title="User:Ann">Ann</a>',
    }
    assert look_up_credits(["A b.jpg"], web) == {
        "A b.jpg": Credit("CC BY-SA 4.0", "Ann", "https://commons.wikimedia.org/wiki/File:A_b.jpg")
    }


def test_a_file_that_is_gone_or_says_nothing_has_no_credit(world: Wikimedia, web: Client) -> None:
    world.credits["File:Bare.jpg"] = {}
    found = look_up_credits(["Bare.jpg", "Gone.jpg"], web)
    assert [(each.licence, each.author, each.failure) for each in found.values()] == [
        (None, None, ""),
        (None, None, ""),
    ]
    assert found["Gone.jpg"].page == "https://commons.wikimedia.org/wiki/File:Gone.jpg"


def test_a_renamed_file_has_the_credit_of_the_new_one(world: Wikimedia, web: Client) -> None:
    world.credits["File:New.jpg"] = {"LicenseShortName": "CC0"}
    world.renamed_files["File:Old.jpg"] = "File:New.jpg"
    assert look_up_credits(["Old.jpg"], web)["Old.jpg"].licence == "CC0"


def test_files_are_asked_for_fifty_at_a_time(world: Wikimedia, web: Client) -> None:
    files = [f"{i:03}.jpg" for i in range(60)]
    assert len(look_up_credits(files, web)) == 60
    questions = world.questions(HOST)
    assert sorted(query["titles"].count("|") + 1 for query in questions) == [10, 50]
    assert questions[0]["iiprop"] == "extmetadata|url"


def test_a_credit_that_cannot_be_had_says_why(world: Wikimedia, web: Client) -> None:
    world.replies[HOST] = [(403, {}, b"")]
    assert look_up_credits(["A.jpg"], web)["A.jpg"].failure == "HTTP 403 from the mirror"
