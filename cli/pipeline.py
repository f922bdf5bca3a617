"""`imf run`, `imf plots-page`: DVC's run of all stages, and the page around its plots.

DVC's own page loads Vega from the web. `make install` writes this one, with Vega in it, for offline
use, and registers it: `dvc config --local plots.html_template plots.html`.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import vl_convert

from imf_core.base.artifacts import write_bytes
from imf_core.base.errors import ImfError
from stages.paths import DATA_SUMMARY, REPORT

PAGE = Path(".dvc/plots.html")

VEGA_LITE = "5.21"
"""DVC's charts have version 5."""

_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'
 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: 'self'">
{refresh_tag}
<title>IMF: plots</title>
<style>
  body { margin: 1rem; font-family: system-ui, sans-serif; color: #222; background: #fff }
  main { display: flex; flex-wrap: wrap; gap: 2.5rem; align-items: flex-start }
  main > * { max-width: 100%; overflow-x: auto }
  table { border-spacing: 1rem 0.25rem }
</style>
<script>
// Vega, Vega-Lite and Vega-Embed: BSD 3-Clause, Copyright University of Washington Interactive
// Data Lab and the authors, https://github.com/vega
(() => {
@BUNDLE@
})();
</script>
</head>
<body>
<main>
{plot_divs}
</main>
</body>
</html>
"""
"""DVC fills in `plot_divs` and `refresh_tag`; without `scripts` it adds no links to the web."""


def reproduce() -> None:
    """Brings all stages up to date with DVC, with its output and that of the stages.

    Between the graph and the long stages, examples show what an untrained network reads in it.

    Raises:
        ImfError: If a stage or DVC failed.
        KeyboardInterrupt: If it was interrupted from the keyboard.
    """
    print(
        f"running the stages of dvc.yaml that have changed: first the graph and its audit "
        f"({DATA_SUMMARY}), then features and training; at the end metrics, predictions and a page "
        f"that presents the run ({REPORT})",
        flush=True,
    )
    _call_dvc("repro", "prepare")
    from cli.examples import show_examples  # noqa: PLC0415 - torch, which the graph does not need

    show_examples()
    _call_dvc("repro")


def _call_dvc(*words: str) -> None:
    """Runs DVC; raises as `reproduce`."""
    # The stages' `python` is that of this command, also without an activated environment.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"}
    with subprocess.Popen([sys.executable, "-m", "dvc", *words], env=environment) as process:
        # Ctrl-C reaches DVC too, which ends its stage first.
        interrupts: list[int] = []
        before = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
        status = process.wait()
        signal.signal(signal.SIGINT, before)
    if status and interrupts:
        raise KeyboardInterrupt
    if status:
        raise ImfError(
            f"`dvc {' '.join(words)}` ended with status {status}; the lines above name the stage, "
            "the cause and the remedy; `imf run` continues after the last finished stage"
        )


def make_page() -> str:
    """Returns the template of DVC's `plots.html_template`, about 900 kB."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
    return _TEMPLATE.replace("@BUNDLE@", bundle)


def write_plots_page() -> None:
    """Writes the page to `.dvc/plots.html`."""
    write_bytes(PAGE, make_page().encode())
