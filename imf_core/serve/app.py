"""The application: the page, the API and the guard, as one function of a trained model."""

import re
from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from imf_core.base.errors import ImfError, OutOfMemoryError, QuestionError
from imf_core.inference.completer import Completer
from imf_core.inference.predict import DEFAULT_AFFINITY
from imf_core.serve.access import PAGE, Access, Guard, refusal
from imf_core.serve.catalogue import UnknownNameError
from imf_core.serve.curation import Curator, make_curation_routes
from imf_core.serve.pictures import Pictures
from imf_core.serve.routes import make_routes
from imf_core.serve.service import Service
from imf_core.serve.work import Worker

VIEWS = ("/", "/ask", "/check", "/new", "/queue", "/docs", "/entity", "/entity/{label:path}")
"""Addresses that the script of the page reads."""

REPORT_STYLE = Path(__file__).parents[1] / "report" / "page.css"
"""Colours, type and parts that the page shares with the report."""


def create_app(
    completer: Completer,
    pictures: Pictures | None = None,
    descriptions: Sequence[str] | None = None,
    access: Access | None = None,
    curator: Curator | None = None,
    least_affinity: float = DEFAULT_AFFINITY,
) -> ASGIApp:
    """Makes the application.

    Args:
        completer: The model.
        pictures: Pictures of its entities, None for none.
        descriptions: Texts of all entities to show; None for those of the graph.
        access: Rules of the guard; by default, this machine alone.
        curator: Stores decisions of people; None to store none.
        least_affinity: Of proposals; as `predict.min_relation_affinity`.
    """
    by = None if curator is None else curator.by or ""
    service = Service(completer, pictures, descriptions, curator=by, least_affinity=least_affinity)
    service.prepare()
    worker = Worker(service)
    app = FastAPI(
        title="IMF", version="1", docs_url=None, redoc_url=None, swagger_ui_oauth2_redirect_url=None
    )
    app.add_exception_handler(RequestValidationError, _explain_invalid)
    app.add_exception_handler(HTTPException, _explain_status)
    app.add_exception_handler(ImfError, _explain_error)
    app.add_exception_handler(Exception, _explain_bug)
    app.include_router(make_routes(worker))
    if curator is not None:
        curator.prepare(service)
        app.include_router(make_curation_routes(worker, curator))
    for path in VIEWS:
        app.add_api_route(path, _send_page, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/static/report.css", _send_report_style, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=PAGE))
    return Guard(app, access or Access())


_REMEDY = re.compile(r"(?<!\w)'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|; ")
"""Names in quotes, and the mark between a message and its remedy, where it is in none of them."""


def _send_page() -> Response:
    return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})


def _send_report_style() -> Response:
    return FileResponse(REPORT_STYLE, headers={"Cache-Control": "no-cache"})


async def _explain_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        reason = f"the body is no JSON: {first['ctx']['error']} at character {first['loc'][-1]}"
        return refusal(422, reason, "send a JSON object; /docs lists the fields")
    place = " ".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return refusal(422, f"{place}: {first['msg']}", "/docs lists the fields and their bounds")


async def _explain_status(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    remedy = "/docs lists the addresses" if error.status_code in {404, 405} else "see /docs"
    answer = refusal(error.status_code, str(error.detail), remedy)
    answer.headers.update(error.headers or {})  # Allow, of 405
    return answer


async def _explain_error(_: Request, error: Exception) -> Response:
    text = str(error)
    end = next((each for each in _REMEDY.finditer(text) if each[0] == "; "), None)
    message, remedy = (text[: end.start()], text[end.end() :]) if end else (text, "")
    status = 500
    if isinstance(error, QuestionError):
        status = 404 if isinstance(error, UnknownNameError) else 400
    elif isinstance(error, OutOfMemoryError):
        status = 503
    return refusal(status, message, remedy or "change the question")


async def _explain_bug(*_: object) -> Response:
    return refusal(500, "the server failed", "its terminal has the reason; report it as a bug")
