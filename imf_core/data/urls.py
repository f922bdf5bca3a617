"""Whether a source lies on the web or in a folder: one answer for every place that asks."""


def is_url(source: str) -> bool:
    """Says whether a source is to be fetched from the web rather than read from a folder."""
    return source.lower().startswith(("http://", "https://"))
