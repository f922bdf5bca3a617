// Draws the charts, in the colours of the page's style, sorts tables, and folds further paths on a phone.
"use strict";
(() => {
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 40rem)");
  const drawn = [];

  function withColours(value, style) {
    if (typeof value === "string" && value.startsWith("--")) return style.getPropertyValue(value).trim() || value;
    if (Array.isArray(value)) return value.map((each) => withColours(each, style));
    if (value && typeof value === "object") {
      const pairs = Object.entries(value);
      return Object.fromEntries(pairs.map(([key, each]) => [key, key === "values" ? each : withColours(each, style)]));
    }
    return value;
  }

  function config(style) {
    const isNarrow = narrow.matches;
    const ink = style.getPropertyValue("--ink").trim();
    const quiet = style.getPropertyValue("--quiet").trim();
    const line = style.getPropertyValue("--line").trim();
    return {
      aria: false,
      background: "transparent",
      font: "system-ui, sans-serif",
      axis: {
        labelColor: quiet, titleColor: quiet, gridColor: line, domainColor: line, tickColor: line,
        labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", labelLimit: isNarrow ? 124 : 220,
      },
      axisX: { tickCount: isNarrow ? 4 : 8 },
      axisXDiscrete: { labelAngle: isNarrow ? -40 : 0, labelOverlap: false }, // every bar has its label
      legend: { labelColor: ink, labelFontSize: 12, columns: isNarrow ? 3 : 6 },
      view: { stroke: null },
    };
  }

  async function draw() {
    const style = getComputedStyle(document.documentElement);
    const before = drawn.splice(0);
    for (const place of document.querySelectorAll("[data-chart]")) {
      const spec = {
        $schema: "https://vega.github.io/schema/vega-lite/v6.json",
        width: "container",
        autosize: { type: "fit-x", contains: "padding" },
        config: config(style),
        ...withColours(specs[place.dataset.chart], style),
      };
      const theme = dark.matches ? "dark" : "light";
      const result = await vegaEmbed(place, spec, { actions: false, renderer: "svg", tooltip: { theme } });
      place.querySelector("svg").setAttribute("aria-hidden", "true"); // the label says it
      drawn.push(result);
    }
    before.forEach((result) => result.finalize());
  }

  function sort(table, column, button) {
    const header = button.closest("th");
    const isDescending = header.getAttribute("aria-sort") === "ascending"
      || (header.getAttribute("aria-sort") === null && column > 1);
    table.querySelectorAll("thead th").forEach((each) => each.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
    const body = table.tBodies[0];
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const [left, right] = [Number(key(a)), Number(key(b))];
      if (column < 2) return key(a).localeCompare(key(b)) * (isDescending ? -1 : 1);
      if (Number.isNaN(left) || Number.isNaN(right)) return Number.isNaN(left) - Number.isNaN(right);
      return (left - right) * (isDescending ? -1 : 1);
    };
    body.append(...[...body.rows].sort(compare));
    const order = isDescending ? "highest first" : "lowest first";
    document.getElementById("sorted").textContent = `Sorted by ${button.textContent}, ${order}.`;
  }

  function fold() {
    document.querySelectorAll("details.more").forEach((each) => { each.open = !narrow.matches; });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    table.querySelectorAll("thead button").forEach((button, column) => {
      button.addEventListener("click", () => sort(table, column, button));
    });
  }
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
  narrow.addEventListener("change", fold);
  fold();
  draw();
})();
