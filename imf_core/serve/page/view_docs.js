// The API, drawn from its OpenAPI document.

import { el, into } from "./dom.js";
import { get } from "./api.js";

export const title = "API";

function typeOf(schema, parts) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map((each) => typeOf(each, parts)).join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" or ");
  if (schema.prefixItems) return `[${schema.prefixItems.map((each) => typeOf(each, parts)).join(", ")}]`;
  const bounds = [["minimum", "from"], ["maximum", "to"], ["minItems", "at least"], ["maxItems", "at most"]]
    .filter(([key]) => schema[key] !== undefined).map(([key, word]) => `${word} ${schema[key].toLocaleString("en")}`);
  const kind = schema.type === "array" ? `list of ${typeOf(schema.items, parts)}` : schema.type ?? "any";
  return bounds.length ? `${kind}, ${bounds.join(" ")}` : kind;
}

function fields(rows, caption) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, el("table", {},
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ["field", "type", "default"].map((each) => el("th", { scope: "col", class: "left" }, each)))),
    el("tbody", {}, rows.map(([key, schema, isNeeded, note]) => el("tr", {}, el("th", { scope: "row" }, el("code", {}, key)),
      el("td", { class: "left" }, typeOf(schema), note ? el("small", {}, ` – ${note}`) : null),
      el("td", { class: "left" }, isNeeded ? "required" : JSON.stringify(schema.default ?? null)))))));
}

function ofSchema(document, schema, caption) {
  const found = document.components.schemas[schema.$ref?.split("/").pop()];
  if (!found?.properties) return el("p", { class: "note" }, `${caption}: ${typeOf(schema)}`);
  const needed = new Set(found.required ?? []);
  return fields(Object.entries(found.properties).map(([key, each]) => [key, each, needed.has(key), each.description]), `${caption} (${schema.$ref.split("/").pop()})`);
}

function operation(document, path, method, each) {
  const answer = each.responses["200"]?.content?.["application/json"]?.schema;
  const body = each.requestBody?.content["application/json"]?.schema;
  return el("section", { class: "operation" },
    el("h2", {}, el("code", {}, `${method.toUpperCase()} ${path}`)),
    el("p", {}, each.description ?? each.summary),
    each.parameters?.length ? fields(each.parameters.map((part) => [part.name, part.schema, part.required, part.schema.description]), "Parameters") : null,
    body ? ofSchema(document, body, "Body") : null,
    answer ? el("details", {}, el("summary", {}, "Answer"), ofSchema(document, answer, "Answer")) : null);
}

export async function draw() {
  const place = el("div", {});
  into(place, get("/openapi.json"), (document) => {
    const operations = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, each]) => operation(document, path, method, each)));
    const schemas = Object.keys(document.components.schemas).filter((each) => document.components.schemas[each].properties);
    return [...operations, el("section", {}, el("h2", {}, "Objects"), schemas.map((each) => el("details", {}, el("summary", {}, each), ofSchema(document, { $ref: `/${each}` }, each))))];
  });
  return [
    el("h1", { tabindex: "-1" }, "The API"),
    el("p", {}, "One question by GET, many by POST. Errors are JSON with the keys ", el("code", {}, "error"), " and ", el("code", {}, "remedy"), ". The document is ", el("a", { href: "/openapi.json", "data-plain": "" }, "/openapi.json"), "."),
    place,
  ];
}
