"""Fetches many URLs and stores the outcome of each.

In: URLs, possibly millions, so only some thousand are in memory. Out: rows of the store. A run
after a kill does not fetch stored URLs again.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from tqdm import tqdm

from imf_core.base.config import FetchParams
from imf_core.base.errors import NetworkError
from imf_core.web.client import WebClient
from imf_core.web.responses import Failure
from imf_core.web.store import Stored, WebStore

LOOK_AHEAD = 1024
"""URLs under way at once: while some wait for their host, others are fetched."""

HOSTS_NAMED = 5
"""Hosts named in the message about hosts that were given up."""

_TAKEN_AT_ONCE = 256


def fetch_into(
    store: WebStore,
    urls: Iterable[str],
    params: FetchParams,
    *,
    max_bytes: int,
    mirror: str | None,
    label: str,
) -> None:
    """Fetches URLs until each has an outcome in the store.

    It requests URLs that are not in the store or were set aside, and those that failed in an
    earlier run for a temporary reason or under other parameters. If a refetch fails, the outcome
    that was set aside is put back.

    Args:
        store: Outcomes of earlier runs; the new ones are added.
        urls: Read lazily, in a thread; a repeated URL is fetched once.
        params: Backoff and limits.
        max_bytes: Largest size of a file.
        mirror: Folder or base URL, used instead of the web.
        label: Label of the progress bar.

    Raises:
        ConfigError: If the mirror is neither a folder nor an http(s) URL.
        NetworkError: If a host that had answered was given up, or no host answers, and URLs without
            an earlier outcome are left; fetched files stay in the store.
        OSError: If the disk is full.
    """
    client = WebClient(params, mirror, store.answered)
    try:
        asyncio.run(_fetch_all(store, iter(urls), client, params, max_bytes, label, mirror))
    except BaseExceptionGroup as group:  # the first error is the cause
        raise group.exceptions[0] from None
    if client.left:
        counts = Counter(client.left.values())
        message = "; ".join(
            f"{why}: {number} files left" for why, number in counts.most_common(HOSTS_NAMED)
        )
        if (others := len(counts) - HOSTS_NAMED) > 0:
            message += f"; {others} hosts more"
        raise NetworkError(
            f"{message}; the next run goes on where this one stopped; if the host is gone for "
            "good, take the addresses out"
        )


def is_settled(stored: Stored | None, params: FetchParams, max_bytes: int) -> bool:
    """Returns whether a URL with this outcome needs no request in this run."""
    if stored is None:
        return False
    if stored.status == "ok" or stored.is_of_this_run:
        return True
    return stored.is_final and stored.terms == _terms(stored.status, params, max_bytes)


async def _fetch_all(
    store: WebStore,
    urls: Iterator[str],
    client: WebClient,
    params: FetchParams,
    max_bytes: int,
    label: str,
    mirror: str | None,
) -> None:
    """Keeps up to `LOOK_AHEAD` URLs under way."""
    places = asyncio.Semaphore(LOOK_AHEAD)
    under_way: set[str] = set()
    unanswered: list[str] = []

    async def settle(url: str, is_new: bool) -> None:
        try:
            target = store.incoming(url)
            is_here = (
                target.exists()
            )  # fetched by a run that was killed before it stored the outcome
            failure = None if is_here else await client.fetch(url, target, max_bytes=max_bytes)
            if failure is None:
                await asyncio.to_thread(store.put_file, url, target)
            elif _keeps_earlier(store.earlier(url), failure):
                store.put_back(url, failure.reason)
                client.left.pop(url, None)
            elif url not in client.left:  # a URL left over counts as never requested
                store.put_failure(url, failure, _terms(failure.status, params, max_bytes))
                if is_new and failure.status == "unreachable" and not store.answered:
                    unanswered.append(url)
            bar.update()
        finally:
            under_way.discard(url)
            places.release()

    with tqdm(desc=label, unit="file", disable=None) as bar:
        async with client, asyncio.TaskGroup() as group:
            # Reading the URLs may take time and must not delay the requests under way.
            while taken := await asyncio.to_thread(_take, urls):
                for url in taken:
                    stored = store.get(url)
                    if url in under_way or is_settled(stored, params, max_bytes):
                        continue
                    await places.acquire()
                    if len(unanswered) >= LOOK_AHEAD:
                        _require_network(store, unanswered, mirror)
                    under_way.add(url)
                    group.create_task(settle(url, is_new=stored is None))
    _require_network(store, unanswered, mirror)


def _keeps_earlier(earlier: Stored | None, failure: Failure) -> bool:
    """Returns whether an earlier outcome is better than the failure of a refetch.

    Only new content or the status not_found replaces content.
    """
    if earlier is None:
        return False
    return not failure.is_final or (earlier.status == "ok" and failure.status != "not_found")


def _require_network(store: WebStore, unanswered: list[str], mirror: str | None) -> None:
    """Raises if no host answers, and removes the outcomes of the URLs.

    `unanswered` has no URL that was unreachable in an earlier run: if only dead links are left, no
    answer is expected.
    """
    if unanswered and not store.answered:
        for url in unanswered:
            store.forget(url)
        if mirror:
            raise NetworkError(
                f"IMF_MIRROR ({mirror}) does not answer: none of {len(unanswered)} files could be "
                "fetched; the next run asks again; start the mirror or name another one"
            )
        raise NetworkError(
            f"no host on the web answers, not one of {len(unanswered)} files could be had; "
            "the next run asks again; restore the connection before, or set IMF_MIRROR (a proxy "
            "that the environment names is not used), or take the addresses out if they are dead"
        )


def _take(urls: Iterator[str]) -> list[str]:
    """Takes the next URLs; an empty list is the end."""
    return list(islice(urls, _TAKEN_AT_ONCE))


def _terms(status: str, params: FetchParams, max_bytes: int) -> str:
    """Returns the parameters that a failure of this status depends on."""
    if status == "too_many_bytes":
        return str(max_bytes)
    if status == "refused":
        return " ".join(sorted(params.allowed_private_hosts))
    return ""
