// A pasted list of facts, judged: probability, threshold and verdict.

import { announce, badge, el, into, isolated, link, brief, shown } from "./dom.js";
import { post } from "./api.js";
import { decisionOf } from "./decide.js";

export const title = "Check facts";
const MOST = 1000;

export function verdictTable(verdicts) {
  const end = (entity, words) => (entity ? link(entity) : isolated(shown(words)));
  const rows = verdicts.map((each) => {
    const word = each.is_true === null ? "none" : String(each.is_true);
    const number = (value) => el("td", {}, value === null ? "" : value.toFixed(3));
    const isJudged = each.status === "judged";
    const row = el("tr", {},
      el("td", { class: `left verdict is-${word}` }, word),
      el("td", { class: "left fact" }, end(each.head_entity, each.head), " – ", isolated(brief(each.relation_name ?? each.relation)), " – ", end(each.tail_entity, each.tail),
        isJudged ? null : el("p", { class: "note" }, isolated(shown(each.status)))),
      number(each.probability), number(each.threshold),
      el("td", { class: "left" }, isJudged ? badge(each.known_in) ?? "new" : ""));
    if (isJudged) row.querySelector(".fact").append(decisionOf({ head: each.head_entity.label, relation: each.relation, tail: each.tail_entity.label }, row));
    return row;
  });
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Verdicts" }, el("table", { class: "verdicts" },
    el("caption", { class: "hidden" }, "Verdicts on the facts"),
    el("thead", {}, el("tr", {}, ["verdict", "fact", "probability", "threshold", "known in"].map((each, place) =>
      el("th", { scope: "col", class: [0, 1, 4].includes(place) ? "left" : null }, each)))),
    el("tbody", {}, rows)));
}

// Lines of head, relation and tail, separated by tabs.
export function readFacts(text) {
  const facts = [], faults = [];
  text.split(/\r?\n/).forEach((line, place) => {
    if (!line.trim()) return;
    const parts = line.split("\t").map((each) => each.trim());
    if (parts.length === 3 && parts.every(Boolean)) facts.push(parts);
    else faults.push(`line ${place + 1} has ${parts.length} part${parts.length > 1 ? "s" : ""}`);
  });
  return [facts, faults];
}

// A tab key types a tab only where it is asked for: the field must not trap the keyboard.
export function factsField(id, label, value = "") {
  const area = el("textarea", { id, rows: "6", spellcheck: "false", wrap: "off", "aria-describedby": `${id}-note` });
  area.value = value;
  const tab = el("button", { type: "button", class: "plain-button", onclick: () => { area.setRangeText("\t", area.selectionStart, area.selectionEnd, "end"); area.focus(); } }, "Insert a tab");
  return [area, el("div", { class: "field" }, el("label", { for: id }, label), area,
    el("p", { class: "note", id: `${id}-note` }, "A line per fact: head, relation and tail by label or name, separated by tabs. ", tab))];
}

export async function draw() {
  const [area, field] = factsField("facts", "Facts");
  const message = el("p", { class: "warning", hidden: true, role: "alert" });
  const place = el("div", { class: "result" });
  const form = el("form", { class: "form" }, field, message, el("button", { class: "primary" }, "Check"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [facts, faults] = readFacts(area.value);
    message.hidden = !faults.length && facts.length > 0 && facts.length <= MOST;
    if (!message.hidden) {
      message.textContent = faults.length ? `Each line needs three parts, separated by tabs: ${faults.slice(0, 3).join(", ")}${faults.length > 3 ? ", …" : ""}.`
        : facts.length ? `At most ${MOST} facts at once, got ${facts.length}.` : "Paste at least one fact.";
      return;
    }
    const asked = facts.map(([head, relation, tail]) => ({ head, relation, tail }));
    into(place, post("/api/score", { facts: asked }), ({ results }) => {
      const count = (value) => results.filter((each) => each.is_true === value).length;
      const words = `facts: ${results.length}, true: ${count(true)}, false: ${count(false)}, without verdict: ${count(null)}`;
      announce(words);
      return [el("h2", {}, "Verdicts"), el("p", {}, words), verdictTable(results)];
    });
  });
  return [
    el("h1", { tabindex: "-1" }, "Check facts"),
    el("p", {}, "A fact is judged true if its probability reaches the threshold of its relation, which was fitted on valid."),
    form, place,
  ];
}
