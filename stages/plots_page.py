"""Writes the page around DVC's plots with Vega included, for offline use. Not a stage.

DVC's own page loads Vega from the web. `make install` runs this and registers the page:
`dvc config --local plots.html_template plots.html`.
"""

import sys
from pathlib import Path

import vl_convert

from imf_core.base.artifacts import write_bytes
from stages.runner import run_stage

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


def make_page() -> str:
    """Returns the template of DVC's `plots.html_template`, about 900 kB."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
    return _TEMPLATE.replace("@BUNDLE@", bundle)


def main() -> None:
    """Writes the page to the first argument, by default `.dvc/plots.html`."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    write_bytes(path, make_page().encode())


if __name__ == "__main__":
    run_stage(main)
