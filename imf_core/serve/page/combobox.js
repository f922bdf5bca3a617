// A text field with a list of suggestions, by the combobox pattern of WAI-ARIA.

import { announce, brief, el, isolated, name, picture, shown } from "./dom.js";
import { get } from "./api.js";

const WAIT = 60; // milliseconds after a key
const LIMIT = { entity: 8, relation: 60 };
let count = 0;

// kind: "entity" or "relation"; onpick(item) after a choice, or none.
export function combobox({ label, kind, hint = "", value = "", isHidden = false, onpick = null }) {
  const id = `field-${++count}`;
  const list = el("ul", { id: `${id}-list`, role: "listbox", "aria-label": `${label}: suggestions`, hidden: true });
  const input = el("input", {
    id, type: "text", role: "combobox", autocomplete: "off", autocapitalize: "off", spellcheck: "false", placeholder: hint,
    "aria-expanded": "false", "aria-controls": list.id, "aria-autocomplete": "list",
  });
  const field = el("div", { class: "combobox" }, el("label", { for: id, class: isHidden ? "hidden" : null }, label), input, list);
  let items = [], active = -1, timer = 0, request = null, picked = null, text = "";

  function set(item) {
    picked = item;
    input.value = text = item ? brief(item.name || item.label) : "";
  }

  function close() {
    clearTimeout(timer);
    request?.abort();
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function mark(place) {
    active = place;
    [...list.children].forEach((each, index) => each.setAttribute("aria-selected", String(index === place)));
    if (place < 0) { input.removeAttribute("aria-activedescendant"); return; }
    const option = list.children[place];
    input.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }

  function pick(item) {
    set(item);
    close();
    onpick?.(item);
  }

  function draw() {
    list.replaceChildren(...items.map((item, place) => {
      const isSame = item.label === item.name;
      return el("li", {
        id: `${id}-option-${place}`, role: "option", "aria-selected": "false",
        onpointerdown: (event) => event.preventDefault(), onclick: () => pick(item),
      }, kind === "entity" ? picture(item, "small") : null,
      el("span", {}, name(item), isSame ? null : el("small", {}, isolated(shown(item.label)))));
    }));
    list.hidden = !items.length;
    input.setAttribute("aria-expanded", String(items.length > 0));
    active = -1;
    input.removeAttribute("aria-activedescendant");
  }

  async function find() {
    request?.abort();
    request = new AbortController();
    try {
      const found = await get("/api/search", { q: input.value, kind, limit: LIMIT[kind] }, request.signal);
      items = kind === "entity" ? found.entities : found.relations;
      if (document.activeElement !== input) return;
      draw();
      announce(items.length ? `${items.length} suggestion${items.length > 1 ? "s" : ""}` : "no suggestions");
    } catch (error) {
      if (error.name !== "AbortError") announce(error.message);
    }
  }

  input.addEventListener("input", () => {
    if (input.value !== text) picked = null;
    clearTimeout(timer);
    timer = setTimeout(find, WAIT);
  });
  input.addEventListener("focus", () => { input.select(); if (kind === "relation") find(); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const last = items.length - 1;
    const isOpen = !list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) { find(); return; }
      const step = event.key === "ArrowDown" ? 1 : -1;
      mark(active + step > last ? 0 : active + step < 0 ? last : active + step);
    } else if (event.key === "Enter" && isOpen && (active >= 0 || (onpick && items.length))) {
      event.preventDefault();
      pick(items[Math.max(active, 0)]);
    } else if (event.key === "Enter") { // sends the form
      close();
    } else if (event.key === "Escape" && isOpen) {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  });
  input.value = text = value;

  return {
    field,
    input,
    set,
    // The label of the choice, or the text as typed.
    get value() { return picked && input.value === text ? picked.label : input.value.trim(); },
    clear() { picked = null; input.value = text = ""; },
  };
}
