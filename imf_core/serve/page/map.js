// The graph around an entity as a small picture: each node is a link, so it can be walked by keyboard.

import { brief, el, entityPath, name, svg } from "./dom.js";

const SIZE = { wide: [760, 540, 32], narrow: [340, 460, 24] };

function place(count, width, height, radius) {
  const [x, y] = [width / 2, height / 2];
  const [across, down] = [x - radius - 42, y - radius - 24];
  return Array.from({ length: count }, (_, index) => {
    const angle = (2 * Math.PI * index) / count - Math.PI / 2;
    const inner = count > 8 && index % 2 ? 0.74 : 1;
    return [x + across * inner * Math.cos(angle), y - 14 + down * inner * Math.sin(angle)];
  });
}

function cut(text, length) {
  const letters = [...text];
  return letters.length > length ? `${letters.slice(0, length - 1).join("")}…` : text;
}

function drawNode(entity, [x, y], radius, words, isCentre, relation = null) {
  const clip = `clip-${entity.id}`;
  const label = brief(entity.name || entity.label);
  const inside = entity.picture
    ? [svg("clipPath", { id: clip }, svg("circle", { r: radius })),
      svg("image", { href: entity.picture, x: -radius, y: -radius, width: 2 * radius, height: 2 * radius, preserveAspectRatio: "xMidYMid slice", "clip-path": `url(#${clip})` })]
    : [svg("text", { class: "initial", "text-anchor": "middle", "dominant-baseline": "central" }, [...label][0]?.toUpperCase() ?? "?")];
  return svg("a", { href: entityPath(entity.label), class: isCentre ? "spot centre" : "spot", transform: `translate(${x} ${y})`, "aria-label": words, "data-id": entity.id },
    svg("circle", { class: "ground", r: radius }), ...inside, svg("circle", { class: "rim", r: radius }),
    svg("text", { class: "word", y: radius + 14, "text-anchor": "middle" }, cut(label, 18)),
    relation ? svg("text", { class: "relation-word", y: radius + 28, "text-anchor": "middle" }, relation) : null);
}

export function aroundMap(around) {
  const isNarrow = matchMedia("(max-width: 40rem)").matches;
  const [width, height, radius] = isNarrow ? SIZE.narrow : SIZE.wide;
  const nodes = isNarrow ? around.nodes.slice(0, 9) : around.nodes;
  const [centre, ...others] = nodes;
  const spots = new Map([[centre.id, [width / 2, height / 2 - 14]]]);
  place(others.length, width, height, radius).forEach((spot, index) => spots.set(others[index].id, spot));
  const names = new Map(nodes.map((each) => [each.id, brief(each.name || each.label)]));
  const edges = around.edges.filter((edge) => spots.has(edge.head) && spots.has(edge.tail) && edge.head !== edge.tail);
  const words = new Map(others.map((each) => [each.id, []]));
  for (const edge of edges) {
    const fact = `${names.get(edge.head)} – ${brief(edge.relation.name)} – ${names.get(edge.tail)}`;
    if (edge.head === centre.id) words.get(edge.tail)?.push(fact);
    else if (edge.tail === centre.id) words.get(edge.head)?.push(fact);
  }
  const caption = el("p", { class: "note", "aria-hidden": "true" }, "Point at an entity to read its facts; follow it to walk on.");
  const start = caption.textContent;
  const lines = edges.map((edge) => {
    const [[x1, y1], [x2, y2]] = [spots.get(edge.head), spots.get(edge.tail)];
    const isInner = edge.head === centre.id || edge.tail === centre.id;
    return svg("line", { x1, y1, x2, y2, class: isInner ? "edge" : "edge outer", "data-ends": `${edge.head} ${edge.tail}` });
  });
  const relations = new Map();
  for (const edge of edges) {
    const [other, isForward] = edge.head === centre.id ? [edge.tail, true] : [edge.head, false];
    if ((isForward || edge.tail === centre.id) && !relations.has(other)) relations.set(other, `${isForward ? "" : "← "}${cut(brief(edge.relation.name), 18)}${isForward ? " →" : ""}`);
  }
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "map", role: "group", "aria-label": `The graph around ${names.get(centre.id)}` },
    ...lines,
    ...others.map((each) => drawNode(each, spots.get(each.id), radius, `${names.get(each.id)}: ${words.get(each.id).join("; ") || "joined by further facts"}`, false, relations.get(each.id))),
    drawNode(centre, spots.get(centre.id), radius + 8, names.get(centre.id), true));
  const point = (id) => {
    for (const line of lines) line.classList.toggle("marked", id !== null && line.dataset.ends.split(" ").includes(id));
    const facts = id === null ? null : words.get(Number(id));
    caption.textContent = facts?.length ? facts.join("; ") : start;
  };
  for (const spot of drawn.querySelectorAll(".spot")) {
    spot.addEventListener("pointerenter", () => point(spot.dataset.id));
    spot.addEventListener("focus", () => point(spot.dataset.id));
    spot.addEventListener("pointerleave", () => point(null));
    spot.addEventListener("blur", () => point(null));
  }
  const rest = around.neighbours - others.length;
  return [drawn, caption, rest > 0 ? el("p", { class: "note" }, `${others.length} of ${around.neighbours} entities that facts join to `, name(centre), ".") : null];
}
