// A new entity, by text, picture and facts: what the model proposes, or answers to one question.

import { announce, el, into, problem } from "./dom.js";
import { about, post } from "./api.js";
import { answersOf, proposalCard } from "./answers.js";
import { combobox } from "./combobox.js";
import { factsField, readFacts } from "./view_check.js";

export const title = "New entity";
const UNNAMED = "the new entity";
const MOST_BYTES = 10_000_000;

function pictureField() {
  const input = el("input", { type: "file", id: "picture", accept: "image/*" });
  const preview = el("img", { class: "preview", alt: "The chosen picture", hidden: true });
  const note = el("p", { class: "note", role: "status" }, "PNG, JPEG, GIF, WebP, TIFF or BMP, up to 10 MB; or drop one here.");
  const clear = el("button", { type: "button", class: "plain-button", hidden: true }, "Remove the picture");
  const zone = el("div", { class: "drop field" }, el("label", { for: "picture" }, "Picture"), input, preview, note, clear);
  let content = null;
  function take(file) {
    if (!file) return;
    if (file.size > MOST_BYTES) { note.textContent = `The picture has ${(file.size / 1e6).toFixed(1)} MB, at most 10.`; return; }
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      content = reader.result.slice(reader.result.indexOf(",") + 1);
      preview.src = reader.result.replace(/^data:[^;,]*/, (kind) => (kind.startsWith("data:image/") ? kind : "data:image/png"));
      preview.hidden = clear.hidden = false;
      note.textContent = `${file.name}, ${(file.size / 1000).toFixed(0)} kB`;
    });
    reader.readAsDataURL(file);
  }
  input.addEventListener("change", () => take(input.files[0]));
  clear.addEventListener("click", () => {
    content = null;
    input.value = "";
    preview.hidden = clear.hidden = true;
    note.textContent = "No picture.";
    input.focus();
  });
  for (const kind of ["dragenter", "dragover"]) zone.addEventListener(kind, (event) => { event.preventDefault(); zone.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
  return [zone, () => content];
}

export async function draw() {
  const model = await about();
  const field = (id, label, input, note = null) => el("div", { class: "field" }, el("label", { for: id }, label), input, note ? el("p", { class: "note" }, note) : null);
  const called = el("input", { id: "name", type: "text", autocomplete: "off", placeholder: UNNAMED });
  const text = el("textarea", { id: "description", rows: "3" });
  const [zone, picture] = pictureField();
  const others = model.inputs.filter((each) => each !== "text" && each !== "image").map((each) => [each, el("input", { id: `with-${each}`, type: "text", autocomplete: "off" })]);
  const [area, facts] = factsField("new-facts", "Facts (optional)");
  const relation = combobox({ label: "Relation", kind: "relation", hint: "empty: all plausible ones" });
  const side = el("select", { id: "side" }, el("option", { value: "tail" }, "the new entity – relation – ?"), el("option", { value: "head" }, "? – relation – the new entity"));
  const message = el("p", { class: "warning", hidden: true, role: "alert" });
  const place = el("div", { class: "result" });
  const hasPaths = model.channels.includes("paths");

  function read() {
    const [lines, faults] = readFacts(area.value);
    if (faults.length) throw new Error(`Each line of facts needs three parts, separated by tabs: ${faults.slice(0, 3).join(", ")}.`);
    const inputs = Object.fromEntries(others.map(([each, input]) => [each, input.value.trim()]).filter(([, value]) => value));
    const made = { name: called.value.trim(), description: text.value.trim(), picture: picture(), facts: lines, inputs };
    if (!made.description && !made.picture && !lines.length && !Object.keys(inputs).length) throw new Error("Give a description, a picture or facts.");
    return made;
  }

  function ask(made) {
    const label = made.name || (made.description || made.picture ? UNNAMED : made.facts[0][0]);
    if (!relation.value) {
      into(place, post("/api/proposals", { new: made, k: 12 }), (found) => {
        announce(`${found.proposals.length} proposals`);
        return [el("h2", {}, "The model proposes"), found.proposals.length
          ? el("ul", { class: "grid wide" }, found.proposals.map((each) => proposalCard(each, found.entity, hasPaths, made)))
          : el("p", { class: "note" }, "Nothing; ask about a relation.")];
      });
      return;
    }
    const isTail = side.value === "tail";
    const question = isTail ? { head: label, relation: relation.value } : { relation: relation.value, tail: label };
    into(place, post(isTail ? "/api/tails" : "/api/heads", { questions: [question], k: 10, precedents: 3, new: made }), ({ results: [asked] }) => answersOf(asked, hasPaths, made));
  }

  const form = el("form", { class: "form new-form" },
    field("name", "Name", called), field("description", "Description", text, "Sentences with the words of the graph's texts get better answers."),
    zone, others.map(([each, input]) => field(`with-${each}`, `Input for ${each}`, input)), facts,
    el("fieldset", {}, el("legend", {}, "Question"), relation.field, field("side", "Asked for", side)),
    message, el("button", { class: "primary" }, "Ask"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    message.hidden = true;
    try {
      ask(read());
    } catch (error) {
      message.textContent = error.message;
      message.hidden = false;
    }
  });
  return [
    el("h1", { tabindex: "-1" }, "A new entity"),
    el("p", {}, `The model answers about an entity that the graph lacks, without training. It reads ${["facts", ...model.inputs].join(", ")}.`),
    model.inputs.length ? null : problem({ message: "This model has no encoders of texts and pictures.", remedy: "Give facts, or pack the model with imf export --model FOLDER." }),
    form, place,
  ];
}
