"""Who may send a request: hosts, origins, tokens and headers."""

import pytest
from fastapi.testclient import TestClient
from served_world import HOST, make_client

from imf_core.serve.access import Access

TOKEN = "a-token-of-enough-characters"
FACTS = {"facts": [{"head": "e15", "relation": "in", "tail": "e01"}]}


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """An application with a token, reached under any name."""
    access = Access(token=TOKEN)
    return make_client(tmp_path_factory.mktemp("private"), access)


@pytest.fixture(autouse=True)
def _without_cookies(private: TestClient) -> None:
    private.cookies.clear()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8765", "localhost:1", "[::1]:8765"])
def test_the_names_of_the_loopback_are_accepted(host: str, client: TestClient) -> None:
    assert client.get("/api/about", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "192.168.0.7", "", "[", "localhost@evil", "a b"],
)
def test_another_name_that_leads_to_this_machine_is_refused(host: str, client: TestClient) -> None:
    answer = client.get("/api/about", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.json()["remedy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_post_of_another_site_is_refused(headers: dict[str, str], client: TestClient) -> None:
    assert client.post("/api/score", json=FACTS, headers=headers).status_code == 403


def test_a_post_of_the_page_or_of_no_browser_is_answered(client: TestClient) -> None:
    own = {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/score", json=FACTS, headers=own).status_code == 200
    assert client.post("/api/score", json=FACTS).status_code == 200


def test_another_site_may_link_to_the_page_and_not_embed_the_api(client: TestClient) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site"}
    linked = client.get("/", headers={**foreign, "Sec-Fetch-Mode": "navigate"})
    assert linked.status_code == 200
    assert (
        client.get("/api/about", headers={**foreign, "Sec-Fetch-Mode": "no-cors"}).status_code
        == 403
    )


@pytest.mark.parametrize("path", ["/", "/api/about", "/static/main.js", "/nothing", "/api/tails"])
def test_every_answer_has_the_headers_of_safety(path: str, client: TestClient) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_without_the_token_the_api_is_closed_and_the_page_asks_for_it(private: TestClient) -> None:
    assert private.get("/api/about").status_code == 401
    assert private.post("/api/score", json=FACTS).status_code == 401
    assert private.get("/openapi.json").status_code == 401
    page = private.get("/")
    assert page.status_code == 401
    assert 'action="/login"' in page.text
    assert private.get("/static/report.css").status_code == 200
    assert private.get("/static/main.js").status_code == 401


def test_a_bearer_opens_it_and_a_wrong_one_does_not(private: TestClient) -> None:
    for value, status in ((TOKEN, 200), (TOKEN[:-1], 401), ("é" * 20, 401), ("", 401)):
        headers = {"Authorization": f"Bearer {value}".encode()}
        assert private.get("/api/about", headers=headers).status_code == status
    assert private.get("/api/about", headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401


def test_the_form_sets_a_cookie_that_no_script_and_no_other_site_reads(private: TestClient) -> None:
    wrong = private.post("/login", data={"token": "wrong"}, follow_redirects=False)
    assert wrong.status_code == 401
    right = private.post("/login", data={"token": TOKEN}, follow_redirects=False)
    assert (right.status_code, right.headers["location"]) == (303, "/")
    shown_at = {"Referer": f"{HOST}/entity/a%2Fb?x=1", "Origin": HOST}
    back = private.post("/login", data={"token": TOKEN}, headers=shown_at, follow_redirects=False)
    assert (back.status_code, back.headers["location"]) == (303, "/entity/a%2Fb?x=1")
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert TOKEN not in cookie
    assert private.get("/api/about").status_code == 200


def test_a_token_in_the_address_becomes_a_cookie_and_leaves_the_address(
    private: TestClient,
) -> None:
    answer = private.get(f"/entity/a%2Fb?x=1&token={TOKEN}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/entity/a%2Fb?x=1")
    assert private.get("/api/about").status_code == 200
    private.cookies.clear()
    answer = private.get(f"//evil.example/?token={TOKEN}", follow_redirects=False)
    assert answer.headers.get("location", "/").count("//") == 0


def test_with_a_token_the_server_has_any_name_and_refuses_other_sites(private: TestClient) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    for host in ("192.168.0.7:80", "box.example"):
        assert private.get("/api/about", headers={**bearer, "Host": host}).status_code == 200
    foreign = {**bearer, "Origin": "http://evil.example"}
    assert private.post("/api/score", json=FACTS, headers=foreign).status_code == 403
