// Decisions of a person about facts: buttons beside a fact, keys while the focus is on it, and undo.

import { announce, el, isolated, problem, shown } from "./dom.js";
import { about, post } from "./api.js";

const CHOICES = [["a", "accepted", "Accept"], ["r", "rejected", "Reject"], ["u", "unsure", "Unsure"]];
const UNDO = "z";
const NAME = "imf-curator";
const AT_ONCE = 1000;

export const KEYS = "a accepts, r rejects, u is unsure, z undoes";

// The name that this browser gave, else that of the server; "" where neither has one.
export function readName(model) {
  try { return localStorage.getItem(NAME) || model.curator; } catch { return model.curator; }
}

export function saveName(name) {
  try { localStorage.setItem(NAME, name); } catch { /* the browser keeps nothing: the name holds for this page */ }
  typed = name;
}

let typed = "";
let undoLatest = null;
let waiting = [];

// The decisions of all facts that one view shows are asked for together.
function find(fact) {
  return new Promise((resolve, reject) => {
    if (!waiting.length) setTimeout(ask);
    waiting.push({ fact, resolve, reject });
  });
}

async function ask() {
  const asked = waiting.splice(0, AT_ONCE);
  if (waiting.length) setTimeout(ask);
  try {
    const { results } = await post("/api/decided", { facts: asked.map((each) => each.fact) });
    asked.forEach((each, place) => each.resolve(results[place]));
  } catch (error) {
    asked.forEach((each) => each.reject(error));
  }
}

// A field for the name of the person; it calls `onsave` with the name.
export function nameForm(value, onsave) {
  const id = `name-${Math.random().toString(36).slice(2)}`;
  const input = el("input", { type: "text", id, maxlength: "200", autocomplete: "name", required: true });
  input.value = value;
  return el("form", { class: "name-form", onsubmit: (event) => {
    event.preventDefault();
    const name = input.value.trim();
    if (!name) return;
    saveName(name);
    onsave(name);
  } }, el("label", { for: id }, "Your name, stored with each decision"), el("span", { class: "row" }, input, el("button", { class: "choice" }, "Save")));
}

// Buttons that decide a fact, nothing where the server stores no decisions. host: the element whose
// focus takes the keys; ondecided gets the new state, `decision` is null after an undo.
export function decisionOf(fact, host, ondecided = () => {}) {
  const place = el("div", { class: "decide", role: "group", "aria-label": "Your decision", hidden: true });
  about().then((model) => {
    if (model.curator === null) return;
    place.hidden = false;
    begin(place, fact, host, model, ondecided);
  }, () => {});
  return place;
}

async function begin(place, fact, host, model, ondecided) {
  const line = el("p", { class: "note state" });
  const trouble = el("div", {});
  let state = null, before = null, isBusy = false;
  const buttons = CHOICES.map(([key, word, title]) => el("button", {
    type: "button", class: `choice is-${word}`, "aria-pressed": "false", "aria-keyshortcuts": key, onclick: () => decide(word),
  }, title, " ", el("kbd", { "aria-hidden": "true" }, key)));

  function draw() {
    CHOICES.forEach(([, word], at) => buttons[at].setAttribute("aria-pressed", String(state?.decision === word)));
    line.hidden = !state?.decision;
    if (!state?.decision) return line.replaceChildren();
    line.replaceChildren(`${state.decision} by `, isolated(shown(state.by)), ` on ${state.at.slice(0, 10)} `,
      el("button", { type: "button", class: "plain-button", "aria-keyshortcuts": UNDO, onclick: undo }, "Undo"),
      state.remark ? el("span", { class: "remark" }, isolated(shown(state.remark))) : "");
  }

  async function send(decision) {
    const by = typed || readName(model);
    if (!by) {
      trouble.replaceChildren(nameForm("", () => { trouble.replaceChildren(); send(decision); }));
      trouble.querySelector("input").focus();
      return;
    }
    if (isBusy) return;
    isBusy = true;
    try {
      const { results: [made] } = await post("/api/decisions", { facts: [fact], decision, by });
      before = state?.decision ?? null;
      state = made.decision === "withdrawn" ? { ...made, decision: null } : made;
      trouble.replaceChildren();
      draw();
      undoLatest = state.decision ? undo : null;
      announce(state.decision ?? "decision withdrawn");
      ondecided(state);
    } catch (error) {
      trouble.replaceChildren(problem(error));
    } finally {
      isBusy = false;
    }
  }

  function decide(word) {
    if (state?.decision !== word) send(word);
  }

  // The decision before the last one counts again.
  function undo() {
    if (state?.decision) send(before ?? "withdrawn");
  }

  // Of this fact, or else the latest one: a decision moves the focus to the next fact.
  function undoAny() {
    if (state?.decision) undo();
    else if (undoLatest) undoLatest();
    else announce("nothing to undo");
  }

  host.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    const choice = CHOICES.find(([key]) => key === event.key.toLowerCase());
    if (choice) decide(choice[1]);
    else if (event.key.toLowerCase() === UNDO) undoAny();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  place.append(...buttons, line, trouble);
  draw();
  try {
    state = await find(fact);
    draw();
  } catch (error) {
    trouble.replaceChildren(problem(error));
  }
}
