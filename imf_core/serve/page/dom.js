// Makes elements. Every text of the graph becomes a text node, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
  return node;
}

export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// Control characters and marks that turn the direction of a line become visible codes.
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

export function shown(text) {
  return text.replace(UNSAFE, (each) => `\\u{${each.codePointAt(0).toString(16)}}`);
}

// Of an IRI, the last part, as the report shows it.
export function brief(name) {
  if (/^(?:[a-z][a-z0-9+.-]*:\/{2,}|urn:)[^\s/#]+[/#]\S/i.test(name)) {
    const part = name.replace(/[/#]+$/, "").split(/[/#]/).pop();
    try { name = decodeURIComponent(part).trim() || name; } catch { name = part || name; }
  }
  return shown(name);
}

export function isolated(text) {
  return el("bdi", {}, text);
}

export function name(named) {
  return isolated(brief(named.name || named.label));
}

export function entityPath(label) {
  const isDots = /^\.{0,2}$/.test(label); // a browser would read them as steps of a path
  return isDots ? `/entity?label=${encodeURIComponent(label)}` : `/entity/${encodeURIComponent(label)}`;
}

export function link(entity) { // a new entity has no page
  return entity.is_new ? el("span", {}, name(entity)) : el("a", { href: entityPath(entity.label) }, name(entity));
}

export function picture(entity, size = "") {
  if (entity.picture) {
    return el("img", { class: `picture ${size}`, src: entity.picture, alt: "", loading: "lazy", decoding: "async" });
  }
  return el("span", { class: `letter ${size}`, "aria-hidden": "true" }, [...brief(entity.name || entity.label)][0]?.toUpperCase() ?? "?");
}

export function player(entity, note = null) {
  return el("div", { class: "player" }, picture(entity), el("span", {}, link(entity), note ? el("small", {}, note) : null));
}

export function percent(value) {
  const text = (100 * value).toFixed(value >= 0.0995 || value === 0 ? 0 : 1);
  return `${text} %`;
}

export function badge(split) {
  return split === "new" ? null : el("b", { class: "badge" }, split);
}

let waiting = 0;

export function announce(text) { // the same text twice is read twice
  const status = document.getElementById("status");
  status.textContent = "";
  clearTimeout(waiting);
  waiting = setTimeout(() => { status.textContent = text; }, 60);
}

export function problem(error) {
  announce(error.message);
  return el("div", { class: "warning", role: "alert" },
    el("p", {}, isolated(shown(error.message))), error.remedy ? el("p", { class: "note" }, isolated(shown(error.remedy))) : null);
}

export function busy(text = "The model is working …") {
  return el("p", { class: "note busy" }, text);
}

// Shows that it works, then what the promise gives, or its error; nothing if the place has gone.
export async function into(place, promise, draw) {
  place.replaceChildren(busy());
  place.setAttribute("aria-busy", "true");
  try {
    const drawn = draw(await promise);
    place.replaceChildren(...[drawn].flat().filter(Boolean));
  } catch (error) {
    if (error.name === "AbortError") return;
    place.replaceChildren(problem(error));
  } finally {
    place.removeAttribute("aria-busy");
  }
}
