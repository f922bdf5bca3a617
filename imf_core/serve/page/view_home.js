// The first view: what the model knows, and entities to begin with.

import { el, into, player } from "./dom.js";
import { about } from "./api.js";
import { channelWord } from "./answers.js";

export const title = "Ask the model";

function number(value) {
  return value.toLocaleString("en");
}

export async function draw() {
  const cards = el("dl", { class: "cards" });
  const best = el("ul", { class: "grid" });
  const page = [
    el("h1", { tabindex: "-1" }, "Ask the model"),
    el("p", { class: "lead" }, "Search an entity to see what the graph knows about it and what the model proposes. ",
      el("a", { href: "/ask" }, "Ask a question"), ", ", el("a", { href: "/new" }, "describe a new entity"), " or ", el("a", { href: "/check" }, "check facts"), "."),
    cards,
    el("h2", {}, "Entities to begin with"),
    best,
  ];
  into(cards, about(), (model) => {
    const facts = Object.values(model.facts).reduce((sum, each) => sum + each, 0);
    const card = (term, value, note) => el("div", {}, el("dt", {}, term), el("dd", {}, value), note ? el("dd", { class: "note" }, note) : null);
    return [
      card("entities", number(model.entities)),
      card("relations", number(model.relations)),
      card("facts", number(facts), `${number(model.facts.train)} in train`),
      card("channels", number(model.channels.length), model.channels.map(channelWord).join(", ")),
    ];
  });
  into(best, about(), (model) => model.sample.map((entity) => el("li", { class: "card" }, player(entity))));
  return page;
}
