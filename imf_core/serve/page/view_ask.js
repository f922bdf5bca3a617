// Any question: one of head, relation and tail is left empty; with all three, the fact is judged.

import { announce, badge, brief, el, into, isolated, name, percent } from "./dom.js";
import { about, get } from "./api.js";
import { answersOf, meter, questionTitle } from "./answers.js";
import { combobox } from "./combobox.js";
import { verdictTable } from "./view_check.js";

export const title = "Ask a question";
const ROLES = ["head", "relation", "tail"];
const SHOWN = 10;

function relations(found) {
  announce(`${found.answers.length} relations`);
  if (!found.answers.length) return el("p", { class: "note" }, "No other relation is likely: similar entities have none that could join these two.");
  return el("ul", { class: "grid" }, found.answers.map((each) => el("li", { class: "card" },
    el("div", { class: "row" }, el("strong", {}, name(each.relation)), el("span", { class: "chance" }, el("b", {}, percent(each.probability)), meter(each.probability))),
    el("p", { class: "note" }, each.known_in === "new" ? "new" : `known: ${each.known_in}`, ` · affinity ${each.affinity.toFixed(2)}`))));
}

function ask(given, known, place) {
  const [head, relation, tail] = ROLES.map((role) => given[role]);
  const options = { k: SHOWN, known };
  if (head && relation && tail) {
    into(place, get("/api/score", { head, relation, tail }), (verdict) => {
      announce(verdict.is_true ? "judged true" : "judged false");
      return [el("h2", {}, ...questionTitle(verdict.head_entity, verdict.relation_name, verdict.tail_entity)), verdictTable([verdict])];
    });
  } else if (head && tail) {
    into(place, get("/api/relations", { head, tail, ...options }), (found) => [
      el("h2", {}, ...questionTitle(found.head, null, found.tail)),
      found.known.length ? el("p", { class: "known" }, `The graph gives ${found.known.length}: `, found.known.flatMap((each, place) => [
        place ? ", " : "", isolated(brief(each.relation.name)), ...(each.known_in === "train" ? [] : [" ", badge(each.known_in)])])) : null,
      relations(found)]);
  } else {
    const [path, values] = head ? ["/api/tails", { head, relation }] : ["/api/heads", { relation, tail }];
    into(place, Promise.all([get(path, { ...values, ...options, precedents: 3 }), about()]), ([asked, model]) => answersOf(asked, model.channels.includes("paths")));
  }
}

export async function draw(location, navigate) {
  const query = new URLSearchParams(location.search);
  const given = Object.fromEntries(ROLES.map((role) => [role, query.get(role) ?? ""]));
  const known = query.get("known") === "1";
  const fields = {
    head: combobox({ label: "Head", kind: "entity", hint: "empty: asked for", value: given.head }),
    relation: combobox({ label: "Relation", kind: "relation", hint: "empty: asked for", value: given.relation }),
    tail: combobox({ label: "Tail", kind: "entity", hint: "empty: asked for", value: given.tail }),
  };
  const box = el("input", { type: "checkbox", id: "with-known" });
  box.checked = known;
  const message = el("p", { class: "warning", hidden: true, role: "alert" });
  const form = el("form", { class: "form question-form" }, ROLES.map((role) => fields[role].field),
    el("p", { class: "check" }, box, el("label", { for: "with-known" }, "include answers of train")),
    message, el("button", { class: "primary" }, "Ask"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = ROLES.map((role) => [role, fields[role].value]).filter(([, value]) => value);
    if (values.length < 2) {
      message.textContent = "Fill in two of the three fields: the empty one is asked for.";
      message.hidden = false;
      return;
    }
    navigate(`/ask?${new URLSearchParams([...values, ...(box.checked ? [["known", "1"]] : [])])}`);
  });
  const place = el("div", { class: "result" });
  if (ROLES.filter((role) => given[role]).length >= 2) ask(given, known, place);
  for (const role of ["head", "tail"]) {
    if (given[role]) get("/api/entity", { label: given[role], limit: 1 }).then((found) => fields[role].set(found.entity), () => {});
  }
  return [
    el("h1", { tabindex: "-1" }, "Ask a question"),
    el("p", {}, "Name two of head, relation and tail. The model answers for the third; with all three it judges the fact."),
    form, place,
  ];
}
