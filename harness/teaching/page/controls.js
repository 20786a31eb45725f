function onInput(ids, act) {
  for (const id of ids) byId(id).addEventListener("input", act);
}

function options(id, names, chosen) {
  byId(id).replaceChildren(...names.map((name, i) => {
    const made = element("option", { value: String(i) }, name);
    if (i === chosen) made.selected = true;
    return made;
  }));
}

// Radio buttons or checkboxes in a fieldset; `act` is called when one changes.
function choices(id, type, names, chosen, act) {
  byId(id).replaceChildren(...names.map((name, i) => {
    const input = element("input", { type, name: id, value: String(i) });
    input.checked = chosen.includes(i);
    input.addEventListener("change", act);
    return element("label", {}, input, name);
  }));
}
const chosenIn = (id) => [...byId(id).querySelectorAll("input")].flatMap((input, i) => (input.checked ? [i] : []));

function shown(slider, text) {
  byId(slider).setAttribute("aria-valuetext", text);
  put(`${slider}-shown`, text);
}
