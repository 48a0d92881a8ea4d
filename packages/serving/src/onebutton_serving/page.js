"use strict";
const release = JSON.parse(document.getElementById("release").textContent);
const form = document.getElementById("form");
const said = document.getElementById("said");
const url = new URL("v1/predict", location.href).href;

function row() {
  const values = {};
  for (const field of release.fields) {
    const box = form.elements[field.id];
    if (field.type === "string") values[field.name] = box.value;
    else if (box.value !== "") values[field.name] = Number(box.value);
    else if (box.validity.badInput) values[field.name] = "no number";
    else if (!field.needed) values[field.name] = null;
  }
  return { rows: [values] };
}

function showCurl() {
  const body = JSON.stringify(row()).replaceAll("'", "'\\''");
  document.getElementById("curl").textContent = `curl ${url} \\\n  --header 'content-type: application/json' \\\n  --data '${body}'`;
}

function tell(tag, words, name) {
  const element = document.createElement(tag);
  element.textContent = words;
  if (name) element.className = name;
  return element;
}

function showWrong(errors) {
  const lines = [];
  let first = null;
  for (const error of errors) {
    const field = release.fields.find((one) => one.name === error.field);
    if (!field) { lines.push(error.message); continue; }
    const box = form.elements[field.id];
    const place = document.getElementById(`${field.id}-wrong`);
    place.textContent = error.message.startsWith(`${field.name} `) ? `It ${error.message.slice(field.name.length + 1)}.` : error.message;
    box.setAttribute("aria-invalid", "true");
    lines.push(error.message);
    first = first || box;
  }
  said.replaceChildren(tell("p", lines.length === 1 ? "Not answered:" : `Not answered, for ${lines.length} reasons:`, "wrong"));
  for (const line of lines) said.append(tell("p", line));
  if (first) first.focus();
}

function showAnswer(answer, milliseconds) {
  const list = document.createElement("dl");
  const prediction = answer.predictions[0];
  if (typeof prediction.label === "string") list.append(tell("dt", "label"), tell("dd", prediction.label, "figure"));
  for (const output of release.outputs) {
    const value = output.path.reduce((place, name) => place[name], prediction);
    list.append(tell("dt", output.description ? `${output.name}: ${output.description}` : output.name));
    const shown = value === null ? "no number" : Number(value.toPrecision(4)).toString();
    list.append(tell("dd", output.unit ? `${shown} ${output.unit}` : shown, "figure"));
    if (value !== null && output.minimum === 0 && output.maximum === 1) {
      const meter = document.createElement("meter");
      meter.value = value;
      meter.textContent = shown;
      meter.setAttribute("aria-label", output.name);
      const place = document.createElement("dd");
      place.append(meter);
      list.append(place);
    }
  }
  said.replaceChildren(list, tell("p", `by ${answer.version}, in ${milliseconds.toFixed(0)} ms`, "soft"));
}

function clean() {
  for (const field of release.fields) {
    form.elements[field.id].removeAttribute("aria-invalid");
    document.getElementById(`${field.id}-wrong`).textContent = "";
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  clean();
  const button = document.getElementById("predict");
  button.disabled = true;
  const begun = performance.now();
  try {
    const answer = await fetch(url, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(row()),
    });
    const content = await answer.json();
    if (answer.ok) showAnswer(content, performance.now() - begun);
    else showWrong(content.errors);
  } catch {
    said.replaceChildren(tell("p", "The server does not answer. Is it still running?", "wrong"));
  } finally {
    button.disabled = false;
  }
});
form.addEventListener("input", showCurl);
form.addEventListener("reset", () => { clean(); setTimeout(showCurl); });
document.getElementById("copy").addEventListener("click", async (event) => {
  await navigator.clipboard.writeText(document.getElementById("curl").textContent);
  event.target.textContent = "Copied";
});
if (!navigator.clipboard) document.getElementById("copy").hidden = true;
showCurl();
