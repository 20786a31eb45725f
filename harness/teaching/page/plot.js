"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// -- words and numbers ------------------------------------------------------------------------------------------------

const minus = (text) => text.replaceAll("-", "−");
const fixed = (x, digits = 4) => minus((Math.abs(x) < 0.5 * 10 ** -digits ? 0 : x).toFixed(digits));
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}%`;
function short(x, digits = 3) {
  if (x === null || !Number.isFinite(x)) return "not finite";
  if (x === 0) return "0";
  const size = Math.abs(x);
  return minus(size >= 1e-3 && size < 1e5 ? String(Number(x.toPrecision(digits))) : x.toExponential(digits - 1).replace("e+", "e"));
}
const power = (k) => (Number.isInteger(k) ? `1e${k}` : (10 ** k).toExponential(1));
const put = (id, text) => { byId(id).textContent = text; };

// Whether a bug makes the gradient of this network wrong: others spoil the cost alone, θ, or networks of other shapes.
const hasWrongGradient = (bug) => bug.check.worst === null || bug.check.worst > 1;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function tableRow(cells, classes = []) {
  const row = document.createElement("tr");
  cells.forEach((text, i) => {
    const cell = element(i ? "td" : "th", i ? {} : { scope: "row" });
    if (classes[i]) cell.className = classes[i];
    cell.textContent = text;
    row.append(cell);
  });
  return row;
}

// -- figures ----------------------------------------------------------------------------------------------------------

const drawn = new Map(); // what redraws each figure, when its width or the colours change

function figure(id, draw) {
  const host = byId(id);
  const redraw = () => draw(host, Math.max(260, Math.round(host.clientWidth)));
  drawn.set(id, redraw);
  let width = 0;
  new ResizeObserver(() => {
    if (host.clientWidth !== width) { width = host.clientWidth; redraw(); }
  }).observe(host);
  return redraw;
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((redraw) => redraw()));
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function shape(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

class Plot {
  // Axes from x to y, each [low, high]; with log the numbers given are exponents of ten. `says` is the text alternative.
  constructor(host, width, { height, x, y, xlabel, ylabel, says, xticks, yticks, left = 46, xname, yname, top = 26 }) {
    Object.assign(this, { x, y, width, height, left, right: 16, top, bottom: 42 });
    this.svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": says });
    host.replaceChildren(this.svg);
    for (const t of xticks) {
      this.add("line", { x1: this.px(t), x2: this.px(t), y1: this.top, y2: height - this.bottom, stroke: "var(--grid)" });
      this.text(this.px(t), height - this.bottom + 17, xname ? xname(t) : minus(String(t)), { anchor: "middle", quiet: true });
    }
    for (const t of yticks) {
      this.add("line", { x1: this.left, x2: width - this.right, y1: this.py(t), y2: this.py(t), stroke: "var(--grid)" });
      this.text(this.left - 6, this.py(t) + 4, yname ? yname(t) : minus(String(t)), { anchor: "end", quiet: true });
    }
    this.text((this.left + width - this.right) / 2, height - 6, xlabel, { anchor: "middle", quiet: true });
    this.text(0, 12, ylabel, { quiet: true });
  }
  px(x) { return this.left + ((x - this.x[0]) / (this.x[1] - this.x[0])) * (this.width - this.left - this.right); }
  py(y) { return this.height - this.bottom - ((y - this.y[0]) / (this.y[1] - this.y[0])) * (this.height - this.top - this.bottom); }
  inside(y) { return Math.min(Math.max(y, this.y[0] - 0.02 * (this.y[1] - this.y[0])), this.y[1] + 0.02 * (this.y[1] - this.y[0])); }
  add(tag, attributes) { const made = shape(tag, attributes); this.svg.append(made); return made; }
  text(x, y, words, { anchor = "start", quiet = false, colour: fill, size = 13, weight = 400 } = {}) {
    const halo = fill ? ";stroke:var(--card);stroke-width:3px;paint-order:stroke" : "";
    const style = `font-size:${size}px;font-weight:${weight};fill:${fill ?? (quiet ? "var(--quiet)" : "var(--ink)")}${halo}`;
    this.svg.append(shape("text", { x, y, "text-anchor": anchor, style }, words));
  }
  curve(points, stroke, { dash = "", wide = 2.2 } = {}) {
    const path = points.filter(([, y]) => Number.isFinite(y)).map(([x, y], i) => `${i ? "L" : "M"}${this.px(x).toFixed(1)} ${this.py(this.inside(y)).toFixed(1)}`);
    return this.add("path", { d: path.join(""), fill: "none", stroke, "stroke-width": wide, "stroke-dasharray": dash, "stroke-linejoin": "round" });
  }
  dot(x, y, fill, { r = 4.5, hollow = false } = {}) {
    const paint = hollow ? { fill: "var(--card)", stroke: fill, "stroke-width": 1.4 } : { fill };
    return this.add("circle", { cx: this.px(x), cy: this.py(this.inside(y)), r, ...paint });
  }
}

// Below a plot, the names of its curves: [name, colour, dash].
function legend(host, entries) {
  host.append(element("ul", { class: "legend" }, ...entries.map(([name, stroke, dash = ""]) => {
    const looks = { "": "solid", "2 3": "dotted", "2 4": "dotted" }[dash] ?? "dashed";
    return element("li", { style: `color:${stroke}` }, element("span", { style: `border-top-style:${looks}` }), name);
  })));
}

function ticks(low, high, count = 5) {
  const raw = (high - low) / count, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * size).find((s) => s >= raw);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
