"use strict";
const url = new URL("v1/predict", location.href).href;
const at = (id) => document.getElementById(id);
const form = at("form"), said = at("said");
let fields = [], outputs = [];

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

function limits(schema) {
  if (schema.enum) return `one of ${schema.enum.filter((one) => one !== null).join(", ")}`;
  const kinds = [schema.type].flat();
  if (kinds.includes("boolean")) return "true or false";
  if (kinds.includes("string")) return schema.pattern ? `text that matches ${schema.pattern}` : "text";
  const what = kinds.includes("integer") ? "a whole number" : "a number";
  const [low, high] = [schema.minimum, schema.maximum].map((one) => (Math.abs(one) < 2 ** 53 ? one : undefined));
  if (low !== undefined && high !== undefined) return `${what}, ${low} to ${high}`;
  if (low !== undefined) return `${what}, at least ${low}`;
  return high === undefined ? what : `${what}, at most ${high}`;
}

function box(field, example) {
  const { schema, id } = field;
  const value = example === null || example === undefined ? "" : String(typeof example === "number" ? Number(example.toPrecision(7)) : example);
  const common = { id, name: id, "aria-describedby": `${id}-hint ${id}-wrong`, required: !field.optional };
  const choices = field.kind === "boolean" ? [true, false] : schema.enum;
  if (choices) {
    const options = choices.map((one) => (one === null ? "" : String(one)));
    if (field.optional && !options.includes("")) options.push("");
    return make("select", common, ...options.map((one) => make("option", { value: one, selected: one === value }, one)));
  }
  if (field.kind === "string") return make("input", { ...common, type: "text", maxlength: schema.maxLength, spellcheck: "false", value });
  const step = field.kind === "integer" ? "1" : "any";
  return make("input", { ...common, type: "number", step, inputmode: "decimal", min: schema.minimum, max: schema.maximum, value });
}

function showField(field, example) {
  const { schema, id } = field;
  const hint = make("div", { class: "hint", id: `${id}-hint` });
  if (schema.description) hint.append(schema.description, make("br", {}));
  hint.append(limits(schema) + (field.optional ? "; may be left empty" : ""));
  const unit = schema["x-unit"] ? [make("span", { class: "unit" }, schema["x-unit"])] : [];
  at("fields").append(make("div", { class: "field" }, make("label", { for: id }, field.name),
    make("div", { class: "box" }, box(field, example), ...unit), hint, make("div", { class: "wrong", id: `${id}-wrong` })));
}

function leaves(schema, path = []) {
  return Object.entries(schema.properties).flatMap(([name, inner]) => (
    inner.properties ? leaves(inner, [...path, name]) : [{ name: [...path, name].join(": "), path: [...path, name], schema: inner }]));
}

function show(api) {
  const { Row, Body, Prediction } = api.components.schemas;
  document.title = api.info.title;
  at("title").textContent = api.info.title;
  at("about").textContent = `Release ${api.info.version}. ${api.info.description}`;
  at("most").textContent = Body.properties.rows.maxItems.toLocaleString("en");
  fields = Object.entries(Row.properties).map(([name, schema], number) => {
    const kinds = [schema.type].flat();
    return { id: `f${number}`, name, schema, kind: kinds[0], optional: kinds.includes("null") };
  });
  for (const field of fields) showField(field, Body.example.rows[0][field.name]);
  outputs = leaves(Prediction);
  for (const { name, schema } of outputs) {
    const words = [schema.description, limits(schema)].filter(Boolean).join(", ");
    at("outputs").append(make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, words)));
  }
  at("main").hidden = false;
  showCurl();
}

function value(field) {
  const input = form.elements[field.id];
  if (field.kind === "string") return input.value;
  if (input.value === "") return input.validity.badInput ? "no number" : field.optional ? null : undefined;
  return field.kind === "boolean" ? input.value === "true" : Number(input.value);
}

const body = () => JSON.stringify({ rows: [Object.fromEntries(fields.map((field) => [field.name, value(field)]))] });

function showCurl() {
  const quoted = body().replaceAll("'", "'\\''");
  at("curl").textContent = `curl ${url} \\\n  --header 'content-type: application/json' \\\n  --data '${quoted}'`;
}

function showWrong(errors) {
  let first = null;
  for (const error of errors) {
    const field = fields.find((one) => one.name === error.field);
    if (!field) continue;
    const own = error.message.startsWith(`${field.name} `);
    at(`${field.id}-wrong`).textContent = own ? `It ${error.message.slice(field.name.length + 1)}.` : error.message;
    const input = form.elements[field.id];
    input.setAttribute("aria-invalid", "true");
    first = first || input;
  }
  const words = errors.length === 1 ? "Not answered:" : `Not answered, for ${errors.length} reasons:`;
  said.replaceChildren(make("p", { class: "wrong" }, words), ...errors.map((error) => make("p", {}, error.message)));
  if (first) first.focus();
}

function showAnswer(answer, milliseconds) {
  const list = make("dl", {});
  for (const { name, path, schema } of outputs) {
    const found = path.reduce((place, key) => place[key], answer.predictions[0]);
    const shown = found === null ? "no number" : typeof found === "number" ? String(Number(found.toPrecision(4))) : found;
    list.append(make("dt", {}, schema.description ? `${name}: ${schema.description}` : name));
    list.append(make("dd", { class: "figure" }, schema["x-unit"] ? `${shown} ${schema["x-unit"]}` : shown));
    if (typeof found === "number" && schema.minimum === 0 && schema.maximum === 1) {
      list.append(make("dd", {}, make("meter", { value: found, "aria-label": name }, shown)));
    }
  }
  said.replaceChildren(list, make("p", { class: "soft" }, `by ${answer.version}, in ${milliseconds.toFixed(0)} ms`));
}

function clean() {
  for (const field of fields) {
    form.elements[field.id].removeAttribute("aria-invalid");
    at(`${field.id}-wrong`).textContent = "";
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  clean();
  at("predict").disabled = true;
  const begun = performance.now();
  try {
    const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: body() });
    const content = await answer.json();
    if (answer.ok) showAnswer(content, performance.now() - begun);
    else showWrong(content.errors);
  } catch {
    said.replaceChildren(make("p", { class: "wrong" }, "The server does not answer. Is it still running?"));
  } finally {
    at("predict").disabled = false;
  }
});
form.addEventListener("input", showCurl);
form.addEventListener("reset", () => { clean(); setTimeout(showCurl); });
at("copy").addEventListener("click", async (event) => {
  await navigator.clipboard.writeText(at("curl").textContent);
  event.target.textContent = "Copied";
});
at("copy").hidden = !navigator.clipboard;
fetch("openapi.json").then(async (answer) => {
  const content = await answer.json();
  if (answer.ok) return show(content);
  at("title").textContent = "Not ready";
  at("about").textContent = content.errors[0].message;
});
