"use strict";
// Data, elements, numbers and the tip. Every text goes in as a text node: nothing is parsed.
const DATA = JSON.parse(document.getElementById("data").textContent);
const COLUMNS = DATA.columns;
const POINTS = DATA.points;
const COUNT = POINTS.label.length;
const GOALS = DATA.objectives.length;
const FRONT = 0, DOMINATED = 1, INFEASIBLE = 2;
const INDEX = new Map(POINTS.label.map((label, i) => [label, i]));
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const at = (id) => document.getElementById(id);

const finite = (value) => typeof value === "number" && Number.isFinite(value);
function fmt(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value).replace("inf", "∞").replace("NaN", "not a number");
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return value.toLocaleString("en-US");
  if (size >= 1e7 || size < 1e-3) return value.toExponential(2).replace(/\.?0*e/, "e").replace("e+", "e");
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(4)));
}
function short(value) {
  const size = Math.abs(value);
  for (const [limit, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= limit * 0.9999) return Number((value / limit).toPrecision(4)) + letter;
  }
  return size > 0 && size < 1e-3 ? value.toExponential(0).replace("e+", "e") : String(Number(value.toPrecision(4)));
}
function lasting(seconds) {
  if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
const shown = (column, i) => {
  const value = column.values[i];
  return column.options && finite(value) ? column.options[value] : fmt(value);
};
const titled = (column) => column.unit ? `${column.name} (${column.unit})` : column.name;
const sign = (column) => (column.goal === "maximize" ? -1 : 1);

// The viridis colours, without the end that the background swallows.
const RAMP = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"]
  .map((hex) => [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16)));
function isDark() {
  if (matchMedia("print").matches) return false;
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
function ramp(share) {
  const [low, high] = isDark() ? [0.2, 1] : [0, 0.9];
  const place = (low + (high - low) * Math.min(1, Math.max(0, share))) * (RAMP.length - 1);
  const k = Math.min(RAMP.length - 2, Math.floor(place));
  return `rgb(${RAMP[k].map((c, j) => Math.round(c + (RAMP[k + 1][j] - c) * (place - k))).join(" ")})`;
}

function tip(text, event) {
  const box = at("tip");
  box.hidden = !text;
  if (!text) return;
  box.textContent = text;
  const { clientX: x, clientY: y } = event;
  const { width, height } = box.getBoundingClientRect();
  box.style.left = `${x + 16 + width > innerWidth ? Math.max(4, x - width - 14) : x + 16}px`;
  box.style.top = `${Math.max(4, y + 14 + height > innerHeight ? y - height - 12 : y + 14)}px`;
}
const KINDS = ["on the front", "dominated", "not feasible"];
function describe(i) {
  const lines = [`Point ${POINTS.label[i]}, ${KINDS[POINTS.kind[i]]}`];
  if (POINTS.beyond[i]) lines.push("beyond the reference");
  if (POINTS.violated[i]) lines.push(POINTS.violated[i].join("; "));
  for (const column of COLUMNS.slice(0, GOALS)) lines.push(`${column.name}: ${shown(column, i)} ${column.unit || ""}`);
  const params = COLUMNS.filter((c) => c.group === "parameter" && c.values[i] !== null);
  if (params.length) lines.push("");
  for (const column of params.slice(0, 9)) lines.push(`${column.name} = ${shown(column, i)}`);
  if (params.length > 9) lines.push(`and ${params.length - 9} more parameters`);
  return lines.join("\n");
}

// Figures are drawn again when their width or the theme changes.
const drawings = [];
function figure(host, draw) {
  let width = 0;
  const again = () => { if (width > 40) host.replaceChildren(draw(width)); };
  new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now !== width) { width = now; again(); }
  }).observe(host);
  drawings.push(again);
  return again;
}
const redraw = () => drawings.forEach((again) => again());

function picker(label, options, value, change) {
  const choices = options.map(([key, text]) => el("option", { value: key, selected: key === value }, text));
  return el("label", {}, label, el("select", { onchange: (e) => change(e.target.value) }, ...choices));
}
function tick(label, value, change) {
  return el("label", {}, el("input", { type: "checkbox", checked: value, onchange: (e) => change(e.target.checked) }), label);
}
function tabs(label, options, value, change) {
  return el("span", { class: "tabs", role: "group", "aria-label": label }, ...options.map(([key, text]) =>
    el("button", { type: "button", "aria-pressed": String(key === value), onclick: () => change(key) }, text)));
}
function thin(list, most) {
  if (list.length <= most) return list;
  return Array.from({ length: most }, (_, k) => list[Math.floor((k * list.length) / most)]);
}
