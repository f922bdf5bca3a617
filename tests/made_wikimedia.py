"""A loopback server that imitates Wikidata, Commons and Wikipedia, from tables in memory.

Requests come to `/<host>/<path>`, as to a mirror. What is asked is noted.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

Reply = tuple[int, dict[str, str], object]


def statement(file: str | None, rank: str = "normal") -> dict[str, object]:
    """A statement of P18; without a file, one of no known value."""
    if file is None:
        return {"mainsnak": {"snaktype": "somevalue", "property": "P18"}, "rank": rank}
    value = {"snaktype": "value", "property": "P18", "datavalue": {"value": file, "type": "string"}}
    return {"mainsnak": value, "type": "statement", "rank": rank}


def terms(**texts: str) -> dict[str, object]:
    """Labels or descriptions by language."""
    return {language: {"language": language, "value": text} for language, text in texts.items()}


def entity(
    number: str,
    label: str = "",
    description: str = "",
    images: list[dict[str, object]] | None = None,
    **articles: str,
) -> dict[str, object]:
    """An item with English texts."""
    return {
        "type": "item",
        "id": number,
        "labels": terms(en=label) if label else [],
        "descriptions": terms(en=description) if description else {},
        "claims": {"P31": [], "P18": images} if images else [],
        "sitelinks": {
            site: {"site": site, "title": title, "badges": []} for site, title in articles.items()
        },
    }


class Wikimedia:
    """The three projects. Fill the tables, then ask at `url`."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, object]] = {}
        self.merged: dict[str, str] = {}
        self.credits: dict[str, dict[str, str]] = {}
        self.renamed_files: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        """`en.wikipedia.org/old_title` -> the title as MediaWiki writes it."""
        self.redirects: dict[str, str] = {}
        """`en.wikipedia.org/Old title` -> the title it leads to, or title#section."""
        self.summaries: dict[str, dict[str, object]] = {}
        self.pictures: dict[str, bytes] = {}
        self.replies: dict[str, list[Reply]] = {}
        """Host -> answers given before any other, in turn."""
        self.asked: list[str] = []
        self.agents: set[str] = set()
        self._lock = threading.Lock()
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with world._lock:
                    status, headers, content = world.answer(self.path)
                    world.agents.add(self.headers["User-Agent"])
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def add(self, *entities: dict[str, object]) -> None:
        """Adds items."""
        self.items.update({str(each["id"]): each for each in entities})

    def questions(self, host: str) -> list[dict[str, str]]:
        """Returns the queries to a host."""
        queries = [parse_qs(urlsplit(each).query) for each in self.asked if f"/{host}/" in each]
        return [{key: value[0] for key, value in query.items()} for query in queries]

    def repeated(self) -> list[str]:
        """Returns repeated queries."""
        return [path for path, times in Counter(self.asked).items() if times > 1]

    def answer(self, path: str) -> Reply:
        """Answers one request."""
        self.asked.append(path)
        parts = urlsplit(path)
        host = parts.path.split("/")[1]
        query = {key: value[0] for key, value in parse_qs(parts.query).items()}
        if self.replies.get(host):
            return self.replies[host].pop(0)
        if host == "www.wikidata.org":
            return 200, {}, self._entities(query)
        if "/Special:FilePath/" in parts.path:
            file = unquote(parts.path.rsplit("/", 1)[-1]).replace("_", " ")
            return (200, {}, self.pictures[file]) if file in self.pictures else (404, {}, b"")
        if host == "commons.wikimedia.org":
            return 200, {}, self._credits(query)
        if parts.path.endswith("/w/api.php"):
            return 200, {}, self._articles(host, query)
        key = f"{host}/{unquote(parts.path.rsplit('/', 1)[-1])}"
        if key in self.summaries:
            return 200, {}, self.summaries[key]
        return 404, {}, {"type": "Internal error", "title": "Not found."}

    def _entities(self, query: dict[str, str]) -> dict[str, object]:
        found: dict[str, object] = {}
        for number in query.get("ids", "").split("|") if "ids" in query else []:
            target = self.merged.get(number, number)
            found[number] = self.items.get(target, {"id": number, "missing": ""})
        missing = 0
        for title in query["titles"].split("|") if "titles" in query else []:
            site = query["sites"]
            links = {
                item["sitelinks"].get(site, {}).get("title"): item for item in self.items.values()
            }  # type: ignore[attr-defined]
            if title in links:
                found[str(links[title]["id"])] = links[title]
            else:
                missing += 1
                found[f"-{missing}"] = {"site": site, "title": title, "missing": ""}
        return {"entities": found, "success": 1}

    def _articles(self, host: str, query: dict[str, str]) -> dict[str, object]:
        site = f"{host.partition('.')[0].replace('-', '_')}wiki"
        links = {
            each["title"]: number
            for number, item in self.items.items()
            for each in item["sitelinks"].values()  # type: ignore[attr-defined]
            if each["site"] == site
        }
        normalized, redirects, pages = [], [], {}
        for asked in query["titles"].split("|"):
            title = self.titles.get(f"{host}/{asked}", asked).partition("#")[0]
            if title != asked:
                normalized.append({"fromencoded": False, "from": asked, "to": title})
            hops = 0
            while f"{host}/{title}" in self.redirects and hops < 3:
                hops += 1
                target, _, section = self.redirects[f"{host}/{title}"].partition("#")
                hop = {"from": title, "to": target}
                redirects.append({**hop, "tofragment": section} if section else hop)
                title = target
            page: dict[str, object] = {"ns": 0, "title": title}
            has = {"pageid": 7, "pageprops": {"wikibase_item": links.get(title)}}
            pages[title] = {**page, **has} if title in links else {**page, "missing": True}
        answer = {"normalized": normalized, "redirects": redirects, "pages": [*pages.values()]}
        return {"batchcomplete": True, "query": {k: v for k, v in answer.items() if v}}

    def _credits(self, query: dict[str, str]) -> dict[str, object]:
        pages: dict[str, object] = {}
        redirects = []
        for number, asked in enumerate(query["titles"].split("|"), 1):
            title = self.renamed_files.get(asked, asked)
            if title != asked:
                redirects.append({"from": asked, "to": title})
            if title not in self.credits:
                pages[str(-number)] = {"ns": 6, "title": title, "missing": ""}
                continue
            metadata = {
                name: {"value": value, "source": "commons-desc-page"}
                for name, value in self.credits[title].items()
            }
            page = f"https://commons.wikimedia.org/wiki/{title.replace(' ', '_')}"
            info = {"descriptionurl": page, "extmetadata": metadata or []}
            pages[str(1000 + number)] = {
                "pageid": 1000 + number,
                "ns": 6,
                "title": title,
                "imagerepository": "local",
                "imageinfo": [info],
            }
        answer = {"pages": pages, **({"redirects": redirects} if redirects else {})}
        return {"batchcomplete": "", "query": answer}


@contextmanager
def running() -> Iterator[Wikimedia]:
    """Serves for a while."""
    world = Wikimedia()
    thread = threading.Thread(target=world.http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield world
    finally:
        world.http.shutdown()
        world.http.server_close()
        thread.join()
