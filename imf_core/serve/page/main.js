// Draws the view of the address, and follows links without loading the page again.

import { announce, el, entityPath, problem } from "./dom.js";
import { combobox } from "./combobox.js";
import * as ask from "./view_ask.js";
import * as check from "./view_check.js";
import * as docs from "./view_docs.js";
import * as entity from "./view_entity.js";
import * as home from "./view_home.js";
import * as fresh from "./view_new.js";
import * as queue from "./view_queue.js";
import { about } from "./api.js";

const VIEWS = [ // address, module, word in the menu
  ["/", home, null],
  ["/ask", ask, "Ask"],
  ["/new", fresh, "New entity"],
  ["/check", check, "Check facts"],
  ["/queue", queue, "Queue"],
  ["/docs", docs, "API"],
  ["/entity", entity, null],
];

const main = document.getElementById("main");
let drawn = 0;

function find(path) {
  return VIEWS.find(([address]) => path === address || (address !== "/" && path.startsWith(`${address}/`))) ?? VIEWS[0];
}

async function show(isFirst = false) {
  const mine = ++drawn;
  const [address, view] = find(location.pathname);
  document.title = `${view.title} – IMF`;
  for (const link of document.querySelectorAll("#views a")) {
    if (link.getAttribute("href") === address) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  let parts;
  try {
    parts = await view.draw(location, navigate);
  } catch (error) {
    parts = [el("h1", { tabindex: "-1" }, view.title), problem(error)];
  }
  if (mine !== drawn) return; // another view was asked for meanwhile
  main.replaceChildren(...parts.filter(Boolean));
  if (isFirst) return;
  main.querySelector("h1")?.focus({ preventScroll: true });
  announce(document.title);
}

function navigate(address) {
  history.pushState(null, "", address);
  window.scrollTo(0, 0);
  show();
}

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest("a");
  if (!link || link.hasAttribute("data-plain")) return;
  const address = link.getAttribute("href");
  if (!address?.startsWith("/")) return;
  event.preventDefault();
  navigate(address);
});
window.addEventListener("popstate", () => show());

const search = combobox({
  label: "Search entities", kind: "entity", hint: "Search entities", isHidden: true,
  onpick: (item) => { search.clear(); navigate(entityPath(item.label)); },
});
document.getElementById("search").append(search.field);
document.getElementById("views").append(...VIEWS.filter(([, , word]) => word).map(([address, , word]) => el("li", { hidden: address === "/queue" }, el("a", { href: address }, word))));
about().then((model) => {
  if (model.curator !== null) document.querySelector('#views a[href="/queue"]').parentElement.hidden = false;
}, () => {});
show(true);
