// Scales, axes and clouds: what every chart is made of.
function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) if (finite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
  return low <= high ? [low, high] : [0, 1];
}

function linearTicks(low, high, count) {
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw * 0.999) || raw;
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step);
  return found;
}
const TIMES = [1, 2, 5, 10, 15, 30].flatMap((k) => [k, 60 * k]).concat([1, 2, 3, 6, 12, 24, 48].map((k) => 3600 * k)).sort((a, b) => a - b);
function timeTicks(low, high, count) {
  const step = TIMES.find((s) => s >= (high - low) / count);
  return high < 5 || !step ? linearTicks(low, high, count) : Array.from({ length: Math.floor(high / step) + 1 }, (_, k) => k * step).filter((v) => v >= low);
}
function logTicks(low, high, count) {
  const from = Math.floor(Math.log10(low)), to = Math.ceil(Math.log10(high));
  const every = (factors) => {
    const found = [];
    for (let p = from; p <= to; p++) for (const f of factors) found.push(f * 10 ** p);
    return found.filter((v) => v >= low * 0.9999 && v <= high * 1.0001);
  };
  for (const factors of [[1, 2, 3, 5], [1, 2, 5], [1, 3], [1]]) {
    const found = every(factors);
    if (found.length <= count + 1 && found.length > 1) return found;
  }
  const found = every([1]);
  return found.length > 1 ? thin(found, Math.max(2, count)) : linearTicks(low, high, count);
}

// axis: {label, values, log, options, include}; the scale maps a value to a pixel.
function scale(axis, from, to, room = 60) {
  if (axis.options) {
    const step = (to - from) / Math.max(1, axis.options.length);
    const band = (value) => from + step * (value + 0.5);
    band.step = Math.abs(step);
    const every = Math.ceil(axis.options.length / Math.max(1, Math.floor(Math.abs(to - from) / room)));
    band.ticks = axis.options.map((text, k) => [k, text]).filter(([k]) => k % every === 0);
    return band;
  }
  let [low, high] = extent([...axis.values, ...(axis.include || [])]);
  const log = axis.log && low > 0;
  if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - (Math.abs(low) * 0.1 || 0.5), high + (Math.abs(high) * 0.1 || 0.5)];
  const f = log ? Math.log10 : (v) => v;
  const pad = axis.tight ? 0 : (f(high) - f(low)) * 0.045;
  const a = f(low) - pad, b = f(high) + pad;
  const position = (value) => from + ((f(value) - a) / (b - a)) * (to - from);
  const back = log ? (v) => 10 ** v : (v) => v;
  const count = Math.max(2, Math.floor(Math.abs(to - from) / room));
  const ticks = axis.time ? timeTicks : log ? logTicks : linearTicks;
  position.ticks = ticks(back(a), back(b), count).filter((v) => !axis.whole || Math.abs(v - Math.round(v)) < 1e-9).map((v) => [v, (axis.format || short)(v)]);
  position.log = log;
  return position;
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

// A chart with axes; draw(group, x, y, box) adds what it shows.
function chart(width, options) {
  const { height, alt, x, y, draw, small } = options;
  const left = small ? 40 : 64, right = 14, top = 10, bottom = x.label ? 44 : 24;
  const box = { left, top, right: width - right, bottom: height - bottom, width, height };
  const sx = scale(x, box.left, box.right, x.options ? 54 : 70), sy = scale(y, box.bottom, box.top, small ? 34 : 42);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": alt });
  const limits = (axis) => (axis.options ? 14 : 30);
  const grid = svg("g", { "aria-hidden": "true" });
  for (const [value, text] of sx.ticks) {
    const p = sx(value);
    grid.append(svg("line", { class: "grid", x1: p, x2: p, y1: box.top, y2: box.bottom }),
      svg("text", { x: p, y: box.bottom + 16, "text-anchor": "middle" }, cut(text, limits(x))));
  }
  for (const [value, text] of sy.ticks) {
    const p = sy(value);
    grid.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: p, y2: p }),
      svg("text", { x: box.left - 7, y: p + 4, "text-anchor": "end" }, cut(text, 9)));
  }
  grid.append(svg("path", { class: "axis", d: `M${box.left} ${box.top}V${box.bottom}H${box.right}` }),
    svg("text", { class: "name", x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle" }, cut(x.label, Math.floor(width / 7))),
    small ? "" : svg("text", { class: "name", transform: `translate(12 ${(box.top + box.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, cut(y.label, Math.floor(height / 7))));
  root.append(grid);
  draw(root, sx, sy, box);
  return root;
}

const coordinate = (v) => Math.round(v * 10) / 10;
// Thousands of marks as one path: a dot is a line of no length with a round or square end.
function cloud(places, shape, extra = "") {
  const one = shape === "cross" ? (x, y) => `M${x - 3} ${y - 3}l6 6m0-6l-6 6` : (x, y) => `M${x} ${y}h.01`;
  const d = places.map(([x, y]) => one(coordinate(x), coordinate(y))).join("");
  return svg("path", { class: `cloud ${shape} ${extra}`, d, "aria-hidden": "true" });
}
const line = (places) => places.map(([x, y], k) => `${k ? "L" : "M"}${coordinate(x)} ${coordinate(y)}`).join("");

// The mark of a front point: a circle, or a square for a further point of a trial.
function mark(i, x, y, size = 6) {
  const label = describe(i).replace(/\n+/g, ", ");
  const shape = POINTS.child[i]
    ? svg("rect", { x: x - size * 0.86, y: y - size * 0.86, width: size * 1.72, height: size * 1.72, rx: 1.5 })
    : svg("circle", { cx: x, cy: y, r: size });
  return fill(shape, { class: `mark ${special(i)}${POINTS.beyond[i] ? " beyond" : ""}`, "data-point": POINTS.label[i], role: "button", tabindex: -1, "aria-label": label }, []);
}

// Hover and click for points at known places; the arrow keys walk along the front.
function pickable(root, places, { text = describe, pick = choose, reach = 22 } = {}) {
  const nearest = (event) => {
    const frame = root.getBoundingClientRect(), zoom = root.viewBox.baseVal.width / frame.width;
    const x = (event.clientX - frame.left) * zoom, y = (event.clientY - frame.top) * zoom;
    let best = null, distance = reach * reach;
    for (const place of places) {
      const d = (place[0] - x) ** 2 + (place[1] - y) ** 2 - (place[3] || 0);
      if (d < distance) { best = place; distance = d; }
    }
    return best;
  };
  root.addEventListener("pointermove", (event) => {
    const found = nearest(event);
    root.style.cursor = found && pick ? "pointer" : "";
    tip(found && text(found[2]), event);
  });
  root.addEventListener("pointerleave", () => tip(null));
  if (pick) root.addEventListener("click", (event) => { const found = nearest(event); if (found) pick(found[2]); });
}
function walkable(root) {
  const marks = [...root.querySelectorAll(".mark")];
  if (!marks.length) return;
  const home = marks.find((m) => INDEX.get(m.dataset.point) === state.chosen) || marks[0];
  home.setAttribute("tabindex", 0);
  root.addEventListener("keydown", (event) => {
    const now = marks.indexOf(document.activeElement);
    if (now < 0) return;
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) {
      marks[now].setAttribute("tabindex", -1);
      const next = marks[(now + step + marks.length) % marks.length];
      next.setAttribute("tabindex", 0);
      next.focus();
    } else if (event.key === "Enter" || event.key === " ") choose(INDEX.get(marks[now].dataset.point), true);
    else return;
    event.preventDefault();
  });
}
