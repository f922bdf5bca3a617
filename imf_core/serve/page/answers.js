// Answers as cards: probability, shares of the channels, entities with the same answer, paths.

import { announce, badge, brief, busy, el, entityPath, isolated, link, name, percent, picture, player, problem, shown } from "./dom.js";
import { get, post } from "./api.js";
import { decisionOf } from "./decide.js";

const WORDS = { structural: "structure", visual: "image", textual: "text", fused: "fused", paths: "paths" };

export function channelWord(channel) {
  return WORDS[channel] ?? channel;
}

export function shares(values) {
  const parts = Object.entries(values).filter(([, share]) => share >= 0.005);
  if (!parts.length) return null;
  const style = (channel) => `of-${WORDS[channel] ?? "other"}`;
  const bar = el("div", { class: "bar", "aria-hidden": "true" }, parts.map(([channel, share]) => {
    const piece = el("i", { class: style(channel) });
    piece.style.flexGrow = share.toFixed(3);
    return piece;
  }));
  const legend = parts.map(([channel, share]) => el("span", {},
    el("i", { class: `dot ${style(channel)}`, "aria-hidden": "true" }), `${channelWord(channel)} ${percent(share)}`));
  return el("div", { class: "shares" }, bar, el("p", {}, legend));
}

function node(entity) {
  return el(entity.is_new ? "span" : "a", { class: "node", href: entity.is_new ? null : entityPath(entity.label) }, picture(entity), el("span", {}, name(entity)));
}

export function pathDiagram(path) {
  const steps = path.steps.flatMap((step) => [
    el("span", { class: `step${step.forward ? "" : " back"}${step.known_in === "train" ? "" : " held-out"}` },
      el("span", {}, name(step.relation), step.known_in === "train" ? null : el("b", {}, step.known_in))),
    node(step.entity),
  ]);
  return el("div", { class: "path" }, el("p", { class: "hidden" }, shown(path.text)), node(path.start), ...steps,
    el("small", {}, `weight ${path.weight.toFixed(2)}`));
}

// The paths of one fact, fetched when they are opened.
export function why(fact, askedFor, isNew) {
  const place = el("div", { class: "paths" });
  const details = el("details", { class: "why" }, el("summary", {}, "Paths that lead to it"), place);
  details.addEventListener("toggle", async () => {
    if (!details.open || place.childNodes.length) return;
    place.append(busy());
    try {
      const found = isNew
        ? (await post("/api/paths", { facts: [fact], asked_for: askedFor, new: isNew })).results[0]
        : await get("/api/paths", { ...fact, asked_for: askedFor });
      place.replaceChildren(...(found.paths.length ? found.paths.map(pathDiagram)
        : [el("p", { class: "note" }, "No path has enough weight: the other channels, or many weak paths, support it.")]));
    } catch (error) {
      place.replaceChildren(problem(error));
    }
  });
  return details;
}

export function meter(probability) {
  const piece = el("i", {});
  piece.style.width = `${100 * Math.min(1, probability)}%`;
  return el("span", { class: "meter", "aria-hidden": "true" }, piece);
}

function standing(answer, askedFor) {
  if (answer.known_in !== "new") return el("span", {}, "known: ", badge(answer.known_in));
  const isUsedUp = answer.used_up === askedFor || answer.used_up === "both";
  return isUsedUp ? el("span", { title: "Another fact answers the question that this fact would answer too." }, "used up by other facts") : null;
}

// fact: labels of head, relation and tail, one of them null; note: a line above the answer's name.
function answerCard(answer, fact, askedFor, { hasPaths = false, isNew = null, note = null } = {}) {
  const whole = { head: fact.head ?? answer.entity.label, relation: fact.relation, tail: fact.tail ?? answer.entity.label };
  const item = el("li", { class: "card answer" });
  item.append(...[
    note ? el("p", { class: "relation-note" }, note) : null,
    el("div", { class: "row" }, player(answer.entity),
      el("span", { class: "chance" }, el("b", {}, percent(answer.probability)), meter(answer.probability))),
    el("p", { class: "standing" }, standing(answer, askedFor)),
    shares(answer.shares),
    answer.precedents.length
      ? el("p", { class: "note" }, "as ", answer.precedents.flatMap((each, place) => [place ? ", " : "", link(each)]))
      : null,
    hasPaths ? why(whole, askedFor, isNew) : null,
    isNew ? null : decisionOf(whole, item),
  ].filter(Boolean));
  return item;
}

// A proposed fact of an entity; isNew: the new entity that the graph lacks, as it was sent.
export function proposalCard(each, entity, hasPaths, isNew = null) {
  const asked = each.as_head ? { head: entity.label, relation: each.relation.label, tail: null } : { head: null, relation: each.relation.label, tail: entity.label };
  const note = each.as_head ? [name(entity), " ", el("em", {}, name(each.relation)), " …"] : ["… ", el("em", {}, name(each.relation)), " ", name(entity)];
  return answerCard(each.answer, asked, each.as_head ? "tail" : "head", { hasPaths, isNew, note: el("span", {}, ...note) });
}

// The answers to a question for head or tail, below the known ones.
export function answersOf(asked, hasPaths, isNew = null) {
  announce(`${asked.answers.length} answers, the first is ${asked.answers.length ? brief(asked.answers[0].entity.name) : "none"}`);
  const fact = { head: asked.head?.label ?? null, relation: asked.relation.label, tail: asked.tail?.label ?? null };
  return [
    el("h2", {}, ...questionTitle(asked.head, asked.relation, asked.tail)),
    knownLine(asked),
    asked.answers.length
      ? el("ol", { class: "grid wide" }, asked.answers.map((each) => answerCard(each, fact, asked.asked_for, { hasPaths, isNew })))
      : el("p", { class: "note" }, "No other entity is left to answer."),
  ];
}

function knownLine(asked) {
  if (!asked.known_count) return null;
  const rest = asked.known_count - asked.known.length;
  return el("div", { class: "known" },
    el("p", {}, `The graph gives ${asked.known_count}: `, asked.known.flatMap((each, place) => [
      place ? ", " : "", link(each.entity), ...(each.known_in === "train" ? [] : [" ", badge(each.known_in)])]),
    rest > 0 ? ` and ${rest} more` : ""),
    el("p", { class: "note" }, `Of such questions with at least as many answers, ${percent(asked.share_with_more)} have a further one`,
      asked.is_used_up ? ": the relation is used up here, and the probabilities are multiplied by this share." : "; the probabilities of further answers are multiplied by this share."));
}

// A question in words: names, and a question mark where it asks.
export function questionTitle(head, relation, tail) {
  const part = (each) => (each ? (each.name === undefined ? isolated(brief(each)) : name(each)) : el("span", { class: "asked-for" }, "?"));
  return [part(head), " – ", part(relation), " – ", part(tail)];
}
