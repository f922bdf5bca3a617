// The facts most worth a look, one after the other, and the latest decisions.

import { announce, brief, el, into, isolated, link, name, percent, picture, shown } from "./dom.js";
import { about, get, post } from "./api.js";
import { meter, why } from "./answers.js";
import { decisionOf, KEYS, nameForm, readName } from "./decide.js";

export const title = "Queue";
const AT_ONCE = 12;
const LATEST = 10;

const KINDS = { proposal: "Proposed: is it true?", train: "In train, but little else supports it: is it true?" };
const ADDITIONS = { proposal: "", train: " (the model was trained on this fact)" };

function chance(value) {
  return percent(value).replace(" ", "\u00a0");
}

function end(entity) {
  return el("span", { class: "end" }, picture(entity, "small"), link(entity));
}

function card(row, hasPaths, ondecided) {
  const fact = { head: row.head.label, relation: row.relation.label, tail: row.tail.label };
  const item = el("li", {
    class: `card todo is-${row.kind}`, tabindex: "0",
    "aria-label": `${brief(row.head.name)} – ${brief(row.relation.name)} – ${brief(row.tail.name)}`,
  });
  const related = row.related ? ` · ${row.related} other proposal${row.related > 1 ? "s" : ""} about its entities` : "";
  item.append(
    el("p", { class: "relation-note" }, KINDS[row.kind]),
    el("p", { class: "fact" }, end(row.head), " ", el("em", {}, name(row.relation)), " ", end(row.tail)),
    el("p", { class: "note chances" }, meter(row.probability), ` probability ${chance(row.probability)}${ADDITIONS[row.kind]}, threshold ${chance(row.threshold)}${related}`),
    ...(hasPaths ? [why(fact, "tail", null)] : []),
    decisionOf(fact, item, (state) => {
      item.classList.toggle("done", Boolean(state.decision));
      ondecided(item, state);
    }));
  return item;
}

function latest(place) {
  return get("/api/decisions", { limit: LATEST }).then(({ results }) => {
    place.replaceChildren(...(results.length ? results.map((each) => {
      const fact = { head: each.head, relation: each.relation, tail: each.tail };
      const words = ["head", "relation", "tail"].map((role) => isolated(brief(each[`${role}_name`])));
      const undo = el("button", { type: "button", class: "plain-button" }, "Withdraw");
      undo.addEventListener("click", async () => {
        undo.disabled = true;
        try {
          await post("/api/decisions", { facts: [fact], decision: "withdrawn", by: readName(await about()) });
          announce("decision withdrawn");
          await latest(place);
        } catch (error) {
          undo.after(` ${error.message}`);
        }
      });
      return el("li", {}, el("b", {}, each.decision), " ", words[0], " – ", words[1], " – ", words[2],
        el("small", {}, " by ", isolated(shown(each.by)), ` on ${each.at.slice(0, 10)}`, each.note ? [": ", isolated(shown(each.note))] : ""), " ", undo);
    }) : [el("li", { class: "note" }, "None yet.")]));
  });
}

function nameLine(model) {
  const line = el("div", { class: "who" });
  const show = (who) => line.replaceChildren(el("p", {}, "You decide as ", el("strong", {}, isolated(shown(who))), " ",
    el("button", { type: "button", class: "plain-button", onclick: () => {
      line.replaceChildren(nameForm(who, show));
      line.querySelector("input").focus();
    } }, "Change the name")));
  const who = readName(model);
  if (who) show(who);
  else line.replaceChildren(nameForm("", show));
  return line;
}

export async function draw() {
  const model = await about();
  const heading = el("h1", { tabindex: "-1" }, "Queue");
  if (model.curator === null) return [heading, el("p", {}, "This server stores no decisions; start it with ", el("code", {}, "imf serve --curate"), ".")];
  const list = el("div", { class: "queue" });
  const done = el("ul", { class: "decided" });
  const open = () => [...list.querySelectorAll(".todo:not(.done)")];
  const step = (from, by) => {
    const cards = [...list.querySelectorAll(".todo")];
    cards[cards.indexOf(from) + by]?.focus();
  };
  const ondecided = (item, state) => {
    latest(done);
    if (!state.decision) return;
    const rest = open();
    const after = rest.find((each) => item.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_FOLLOWING) ?? rest[0];
    (after ?? list.querySelector(".more"))?.focus();
  };
  const load = () => into(list, get("/api/queue", { k: AT_ONCE }), ({ rows, decided }) => {
    announce(`${rows.length} facts, ${decided} decided`);
    if (!rows.length) return el("p", { class: "note" }, "Nothing is left: every proposal and every suspicious fact has a decision.");
    const items = rows.map((row) => card(row, model.channels.includes("paths"), ondecided));
    setTimeout(() => items[0].focus({ preventScroll: true }));
    return [el("ol", { class: "grid wide" }, items), el("button", { type: "button", class: "primary more", onclick: load }, "Next facts")];
  });
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input")) return;
    const by = { j: 1, k: -1 }[event.key.toLowerCase()];
    const item = event.target.closest(".todo");
    if (by && item) step(item, by);
  });
  load();
  latest(done);
  return [
    heading,
    el("p", {}, "Three proposals, then one suspicious fact of train, in turn: those near the threshold of their relation and with many other proposals come first. The probability is of the fact, from the questions for its tail and its head; that beside an answer is from one question."),
    nameLine(model),
    el("p", { class: "note keys" }, `Keys, while the focus is on a fact: ${KEYS}; j and k go to the next fact and back.`),
    list,
    el("h2", {}, "Latest decisions"),
    done,
    el("p", { class: "note" }, "Decisions are lines of the file dataset.decisions of params.yaml. Commit it; the next ", el("code", {}, "imf run"), " trains on the accepted facts and without the rejected ones."),
  ];
}
