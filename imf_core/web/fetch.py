"""Brings every one of many URLs to an outcome in the store.

In: URLs, one after another; there may be millions, so only some thousand are ever at hand. Out:
the store's rows. A run after a kill asks for nothing that the store already holds.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from tqdm import tqdm

from imf_core.config import FetchParams
from imf_core.errors import NetworkError
from imf_core.web.client import WebClient
from imf_core.web.faults import Fault
from imf_core.web.store import Stored, WebStore

LOOK_AHEAD = 1024
"""URLs taken up at once: while some wait for their host, others have their turn."""

HOSTS_NAMED = 5
"""In the message about hosts that were given up."""

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
    """Runs an event loop until every URL has an outcome in the store.

    Asked for is what the store does not hold or has set aside, and what failed in an earlier run
    for a reason that may have passed or that the parameters have changed. What was set aside is put
    back where asking again brings nothing.

    Args:
        store: What was fetched before, and will be after.
        urls: Taken lazily, in a thread; one that comes twice is fetched once.
        params: Manners and bounds.
        max_bytes: A longer file is given up.
        mirror: Folder or base URL in place of the web.
        label: Of the progress bar.

    Raises:
        ConfigError: If the mirror is neither a folder nor an http(s) URL.
        NetworkError: If a host that had answered was given up, or none answers, and something is
            left of which nothing is known from before; what was fetched is in the store.
        OSError: If the disk is full.
    """
    client = WebClient(params, mirror, store.answered)
    try:
        asyncio.run(_fetch_all(store, iter(urls), client, params, max_bytes, label, mirror))
    except BaseExceptionGroup as group:  # what failed first is what there is to say
        raise group.exceptions[0] from None
    if client.left:
        counts = Counter(client.left.values())
        told = "; ".join(
            f"{why}: {number} files left" for why, number in counts.most_common(HOSTS_NAMED)
        )
        if (others := len(counts) - HOSTS_NAMED) > 0:
            told += f"; {others} hosts more"
        raise NetworkError(
            f"{told}; the next run goes on where this one stopped; if the host is gone for good, "
            "take the addresses out"
        )


def is_settled(stored: Stored | None, params: FetchParams, max_bytes: int) -> bool:
    """Says whether a URL with this outcome is not asked for again in this run."""
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
    unheard: list[str] = []

    async def settle(url: str, is_new: bool) -> None:
        try:
            target = store.incoming(url)
            is_here = target.exists()  # fetched by a run that was killed before it could say so
            fault = None if is_here else await client.fetch(url, target, max_bytes=max_bytes)
            if fault is None:
                await asyncio.to_thread(store.put_file, url, target)
            elif _still_holds(store.earlier(url), fault):
                store.put_back(url, fault.reason)
                client.left.pop(url, None)
            elif url not in client.left:  # what was left is as good as not asked for
                store.put_fault(url, fault, _terms(fault.status, params, max_bytes))
                if is_new and fault.status == "unreachable" and not store.answered:
                    unheard.append(url)
            bar.update()
        finally:
            under_way.discard(url)
            places.release()

    with tqdm(desc=label, unit="file", disable=None) as bar:
        async with client, asyncio.TaskGroup() as group:
            # The URLs may take work to find out, which must not hold up what is under way.
            while taken := await asyncio.to_thread(_take, urls):
                for url in taken:
                    stored = store.get(url)
                    if url in under_way or is_settled(stored, params, max_bytes):
                        continue
                    await places.acquire()
                    if len(unheard) >= LOOK_AHEAD:
                        _require_network(store, unheard, mirror)
                    under_way.add(url)
                    group.create_task(settle(url, is_new=stored is None))
    _require_network(store, unheard, mirror)


def _still_holds(earlier: Stored | None, fault: Fault) -> bool:
    """Says whether what was known before outweighs a fault met in asking again.

    Content gives way to content, and to the word of its host that it is gone, alone.
    """
    if earlier is None:
        return False
    return not fault.is_final or (earlier.status == "ok" and fault.status != "not_found")


def _require_network(store: WebStore, unheard: list[str], mirror: str | None) -> None:
    """Raises if no host answers, and leaves the URLs as if they had never been asked for.

    Those that were unreachable in an earlier run too are not among them: where only dead links are
    left, nobody answering is what there is to expect.
    """
    if unheard and not store.answered:
        for url in unheard:
            store.forget(url)
        if mirror:
            raise NetworkError(
                f"IMF_MIRROR ({mirror}) does not answer: none of {len(unheard)} files could be "
                "fetched; the next run asks again; start the mirror or name another one"
            )
        raise NetworkError(
            f"no host on the web answers, not one of {len(unheard)} files could be had; "
            "the next run asks again; restore the connection before, or set IMF_MIRROR (a proxy "
            "that the environment names is not used), or take the addresses out if they are dead"
        )


def _take(urls: Iterator[str]) -> list[str]:
    """Takes the next few URLs; none are left when it returns none."""
    return list(islice(urls, _TAKEN_AT_ONCE))


def _terms(status: str, params: FetchParams, max_bytes: int) -> str:
    """Returns the parameters that a fault of this status depends on: others may mend it."""
    if status == "too_many_bytes":
        return str(max_bytes)
    if status == "refused":
        return " ".join(sorted(params.allowed_private_hosts))
    return ""
