"""The browser of this machine, for tests of pages."""

import shutil

CHROMIUM = next(
    filter(
        None,
        [
            *map(shutil.which, ("chromium", "chromium-browser", "google-chrome")),
            shutil.which("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
        ],
    ),
    None,
)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
