// An entity: picture, text, proposals, facts by relation, the graph around it, near entities.

import { announce, badge, brief, el, into, isolated, link, name, picture, problem, shown } from "./dom.js";
import { about, get } from "./api.js";
import { channelWord, proposalCard } from "./answers.js";
import { aroundMap } from "./map.js";

const PAGE = 50; // further facts at once

export const title = "Entity";

export function readLabel(location) {
  if (location.pathname === "/entity") return new URLSearchParams(location.search).get("label") ?? "";
  const part = location.pathname.slice("/entity/".length);
  try { return decodeURIComponent(part); } catch { return part; }
}

function section(id, heading, note) {
  const place = el("div", {});
  return [el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, heading), note ? el("p", { class: "note" }, note) : null, place), place];
}

function fact(known) {
  return el("li", {}, picture(known.entity, "small"), el("span", {}, link(known.entity), " ", known.known_in === "train" ? null : badge(known.known_in)));
}

function group(entity, each) {
  const list = el("ul", { class: "facts" }, each.others.map(fact));
  const heading = each.as_head
    ? el("h3", {}, each.both_ways ? el("span", { class: "quiet", title: "in both directions" }, "⇄ ") : null, el("span", { class: "quiet" }, name(entity)), " ", name(each.relation), " …")
    : el("h3", {}, "… ", name(each.relation), " ", el("span", { class: "quiet" }, name(entity)));
  const more = el("button", { type: "button", class: "plain-button" });
  const label = () => { more.textContent = `Show more (${list.children.length} of ${each.count} shown)`; };
  label();
  more.addEventListener("click", async () => {
    more.disabled = true;
    try {
      const first = list.children.length;
      const found = await get("/api/facts", { entity: entity.label, relation: each.relation.label, as_head: each.as_head, offset: first, limit: PAGE });
      list.append(...found.map(fact));
      announce(`${found.length} more facts`);
      list.children[first]?.querySelector("a")?.focus();
      if (list.children.length >= each.count || !found.length) more.remove();
      else label();
    } catch (error) {
      more.after(problem(error));
    }
    more.disabled = false;
  });
  return el("div", { class: "group" }, heading, list, each.count > each.others.length ? more : null);
}

function neighbours(found) {
  const channels = Object.entries(found.channels);
  if (!channels.length) return el("p", { class: "note" }, "It has no embedding: neither train facts nor a text or a picture.");
  return el("div", { class: "pair near" }, channels.map(([channel, near]) => el("div", {},
    el("h3", {}, el("i", { class: `dot of-${channelWord(channel)}`, "aria-hidden": "true" }), `by ${channelWord(channel)}`),
    el("ul", { class: "facts" }, near.map((each) => el("li", {}, picture(each.entity, "small"),
      el("span", {}, link(each.entity), " ", el("small", {}, each.cosine.toFixed(2)))))))));
}

export async function draw(location) {
  const label = readLabel(location);
  const page = await get("/api/entity", { label, limit: 8 });
  const { entity } = page;
  document.title = `${brief(entity.name)} – IMF`;
  const [proposed, proposals] = section("proposed", "The model proposes", "Facts that no split has, with calibrated probabilities.");
  const [known, facts] = section("known", `Known facts (${page.facts.toLocaleString("en")})`);
  const [map, around] = section("around", "The graph around it");
  const [near, alike] = section("near", "Near to it", "Nearest entities in the space of each channel, by cosine.");
  facts.append(...(page.groups.length ? page.groups.map((each) => group(entity, each)) : [el("p", { class: "note" }, "The graph has no fact of it.")]));
  if (page.facts) into(around, get("/api/around", { entity: entity.label, limit: 12 }), aroundMap);
  else map.hidden = true;
  into(alike, get("/api/neighbours", { entity: entity.label, k: 5 }), neighbours);
  into(proposals, Promise.all([get("/api/proposals", { entity: entity.label, k: 8 }), about()]), ([found, model]) => {
    announce(`${found.proposals.length} proposals`);
    if (!found.proposals.length) return el("p", { class: "note" }, "Nothing: no relation of similar entities is open here. ", el("a", { href: `/ask?head=${encodeURIComponent(entity.label)}` }, "Ask a question"), ".");
    return el("ul", { class: "grid wide" }, found.proposals.map((each) => proposalCard(each, entity, model.channels.includes("paths"))));
  });
  const pictures = page.pictures.slice(0, 4);
  return [
    el("div", { class: "hero" },
      pictures.length
        ? el("div", { class: "pictures" }, pictures.map((source, place) => el("img", { src: source, alt: place ? "" : `Picture of ${brief(entity.name)}` })))
        : picture(entity, "large"),
      el("div", {},
        el("h1", { tabindex: "-1" }, name(entity)),
        entity.label === entity.name ? null : el("p", { class: "note label" }, isolated(shown(entity.label))),
        page.description ? el("p", {}, isolated(shown(page.description))) : null,
        el("p", { class: "note" }, `${page.facts.toLocaleString("en")} facts · `, el("a", { href: `/ask?head=${encodeURIComponent(entity.label)}` }, "ask about it")))),
    proposed, known, map, near,
  ];
}
