// The front: scatter, 3-D, parallel coordinates and scatter matrix of the same points.
const OBJECTIVES = COLUMNS.slice(0, GOALS);
const MOST_CLOUD = 3000, MOST_THREADS = 500, MOST_MATRIX = 800, MOST_MARKS = 400, SHADES = 24;
const wideRange = (column) => {
  const [low, high] = extent(column.values);
  return !column.options && low > 0 && high / low > 50;
};
const state = {
  view: GOALS > 3 ? "parallel" : "scatter",
  x: GOALS > 1 ? 1 : COLUMNS.findIndex((c) => c.group === "parameter"),
  y: 0, z: GOALS > 2 ? 2 : -1,
  colour: GOALS === 3 ? 2 : GOALS > 3 ? 0 : -1,
  logs: COLUMNS.map((c) => c.log || wideRange(c)),
  dominated: true, infeasible: true, children: true, params: false,
  beyond: POINTS.kind.every((kind, i) => kind !== FRONT || POINTS.beyond[i]),
  chosen: null, yours: null, weights: Array(GOALS).fill(50), turn: [0.7, 0.45],
};
if (state.x < 0) state.x = 0;

const special = (i) => (i === state.yours && state.touched ? "yours" : POINTS.label[i] === DATA.knee ? "knee" : "");
function visible() {
  const found = [];
  for (let i = 0; i < COUNT; i++) {
    if (POINTS.kind[i] === DOMINATED && !state.dominated) continue;
    if (POINTS.kind[i] === INFEASIBLE && !state.infeasible) continue;
    if (POINTS.child[i] && !state.children) continue;
    if (POINTS.beyond[i] && !state.beyond) continue;
    found.push(i);
  }
  return found;
}
const has = (i, ...columns) => columns.every((c) => finite(c.values[i]));
const along = (list, column) => [...list].sort((a, b) => column.values[a] - column.values[b]);

function axisOf(k) {
  const column = COLUMNS[k];
  const better = column.goal ? (column.goal === "maximize" ? ", larger is better" : ", smaller is better") : "";
  const whole = !column.options && column.values.every((v) => !finite(v) || Number.isInteger(v));
  return { whole, label: titled(column) + better, values: column.values, log: state.logs[k], options: column.options };
}

// Colours spread over the front where there is one; the rest is clamped to it.
function colourRange(column) {
  const front = column.values.filter((v, i) => POINTS.kind[i] === FRONT && finite(v));
  return extent(front.length > 1 && Math.min(...front) < Math.max(...front) ? front : column.values);
}

function colourOf() {
  if (state.colour < 0) return null;
  const column = COLUMNS[state.colour];
  if (column.options) return (i) => (finite(column.values[i]) ? `var(--s${column.values[i] % 6})` : "var(--cloud)");
  const [from, to] = colourRange(column), f = state.logs[state.colour] && from > 0 ? Math.log : (v) => v;
  const [low, high] = [f(from), f(to)];
  const shades = Array.from({ length: SHADES + 1 }, (_, k) => ramp(k / SHADES));
  const share = (v) => (high > low ? (f(Math.min(to, Math.max(from, v))) - low) / (high - low) : 0.5);
  return (i) => (finite(column.values[i]) ? shades[Math.round(SHADES * share(column.values[i]))] : "var(--cloud)");
}

// Clouds of what is not on the front, in their shapes and, if asked for, colours.
function clouds(root, places, colour, extra = "") {
  const groups = new Map();
  for (const place of places) {
    const i = place[2];
    const shape = POINTS.kind[i] === INFEASIBLE ? "cross" : POINTS.child[i] ? "square" : "round";
    const key = colour && shape !== "cross" ? `${shape} ${colour(i)}` : shape;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(place);
  }
  for (const [key, group] of groups) {
    const [shape, ...rest] = key.split(" "), path = cloud(group, shape, extra);
    if (rest.join(" ")) path.style.stroke = rest.join(" ");
    root.append(path);
  }
}
function marks(root, places, colour, size = 6) {
  for (const [x, y, i] of places) {
    const node = mark(i, x, y, size);
    if (colour) node.style.fill = colour(i);
    root.append(node);
  }
}
// What changes with the reader's choice lies above the rest, so that a choice draws only this.
function above(root, draw) {
  const layer = svg("g", { "pointer-events": "none" });
  root.append(layer);
  root.choice = () => { layer.replaceChildren(); draw(layer); };
  root.choice();
}
const noted = (i) => i === state.chosen || (state.touched && i === state.yours) || POINTS.label[i] === DATA.knee || POINTS.label[i] === DATA.default;
function rings(root, layer, places, size = 6, tags = true) {
  for (const [x, y, i] of places) {
    if (!noted(i)) continue;
    if (special(i)) layer.append(svg("circle", { class: `ring ${special(i)}`, cx: x, cy: y, r: size + 4 }));
    const chosen = i === state.chosen, knee = POINTS.label[i] === DATA.knee, start = POINTS.label[i] === DATA.default;
    if (chosen) layer.append(svg("circle", { class: "ring", cx: x, cy: y, r: size + (special(i) ? 7 : 4) }));
    if (start) layer.append(svg("path", { class: "default", d: `M${x} ${y - 8}l8 8l-8 8l-8-8z` }));
    const words = [start && "default", knee && "knee", i === state.yours && state.touched && "yours", chosen && POINTS.label[i]].filter(Boolean);
    if (tags && words.length) {
      const flip = x > root.viewBox.baseVal.width - 150;
      layer.append(svg("text", { class: "tag", x: x + (flip ? -12 : 12), y: y - 8, "text-anchor": flip ? "end" : "start" }, cut(words.join(", "), 40)));
    }
  }
}
const kept = (places, most) => thin(places.filter(([, , i]) => POINTS.kind[i] !== FRONT), most);
const onFront = (places) => thin(places.filter(([, , i]) => POINTS.kind[i] === FRONT), MOST_MARKS);

function scatter(width) {
  const cx = COLUMNS[state.x], cy = COLUMNS[state.y], colour = colourOf();
  const seen = visible().filter((i) => has(i, cx, cy));
  const only = (k) => ({ ...axisOf(k), values: seen.map((i) => COLUMNS[k].values[i]) });
  return chart(width, {
    height: Math.max(320, Math.min(520, width * 0.66)), x: only(state.x), y: only(state.y),
    alt: `Scatter of ${cx.name} and ${cy.name}; ${seen.length} points. The table below has those of the front.`,
    draw(root, sx, sy, box) {
      const places = seen.map((i) => [sx(cx.values[i]), sy(cy.values[i]), i, POINTS.kind[i] ? 0 : 60]);
      if (GOALS === 2 && state.x < 2 && state.y < 2 && state.x !== state.y) stairs(root, seen, sx, sy, box);
      bounds(root, sx, sy, box);
      clouds(root, kept(places, MOST_CLOUD), colour);
      marks(root, onFront(places), colour);
      above(root, (layer) => rings(root, layer, places));
      pickable(root, places);
      walkable(root);
    },
  });
}
// What two objectives dominate: the steps between the front's points, and the region behind.
function stairs(root, seen, sx, sy, box) {
  const cx = COLUMNS[state.x], cy = COLUMNS[state.y];
  const list = along(seen.filter((i) => POINTS.kind[i] === FRONT), cx);
  if (!list.length) return;
  const worseX = cx.goal === "maximize" ? box.left : box.right, worseY = cy.goal === "maximize" ? box.bottom : box.top;
  if (cx.goal === "maximize") list.reverse();
  let d = `M${sx(cx.values[list[0]])} ${worseY}`;
  list.forEach((i, k) => { d += (k ? `H${sx(cx.values[i])}` : "") + `V${sy(cy.values[i])}`; });
  d += `H${worseX}`;
  root.append(svg("path", { class: "region", d: `${d}V${worseY}Z` }), svg("path", { class: "stair", d }));
}
function bounds(root, sx, sy, box) {
  for (const { metric, min, max } of DATA.constraints) for (const bound of [min, max]) {
    if (bound === null) continue;
    const px = COLUMNS[state.x].name === metric && sx(bound), py = COLUMNS[state.y].name === metric && sy(bound);
    if (px && px > box.left && px < box.right) root.append(svg("line", { class: "bound", x1: px, x2: px, y1: box.top, y2: box.bottom }));
    if (py && py > box.top && py < box.bottom) root.append(svg("line", { class: "bound", x1: box.left, x2: box.right, y1: py, y2: py }));
  }
}

function unitScale(k, seen) {
  const column = COLUMNS[k], log = state.logs[k] && extent(column.values)[0] > 0, f = log ? Math.log : (v) => v;
  const [low, high] = extent(seen.map((i) => column.values[i]));
  const share = (v) => (high > low ? (f(v) - f(low)) / (f(high) - f(low)) : 0.5);
  return Object.assign(share, { low, high });
}

function cube(width) {
  const height = Math.max(360, Math.min(540, width * 0.7)), size = Math.min(width, height) * 0.295;
  const ks = [state.x, state.y, state.z], cs = ks.map((k) => COLUMNS[k]), colour = colourOf();
  const seen = visible().filter((i) => has(i, ...cs)), scales = ks.map((k) => unitScale(k, seen));
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", tabindex: 0,
    "aria-label": `3-D scatter of ${cs.map((c) => c.name).join(", ")}; drag or use the arrow keys to turn it` });
  const paint = () => {
    const [yaw, pitch] = state.turn, [sy, cy, sp, cp] = [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
    const project = (x, y, z) => {
      const a = x * cy - y * sy, b = x * sy + y * cy;
      return [width / 2 + a * size, height / 2 - (z * cp - b * sp) * size, b * cp + z * sp];
    };
    root.replaceChildren();
    const corner = (bits) => project(...[0, 1, 2].map((k) => (bits >> k & 1 ? 1 : -1)));
    for (let a = 0; a < 8; a++) for (const bit of [1, 2, 4]) {
      if (!(a & bit)) root.append(svg("path", { class: a ? "grid" : "axis", d: line([corner(a), corner(a | bit)]) }));
    }
    cs.forEach((column, k) => {
      const [x, y] = project(...[0, 1, 2].map((j) => (j === k ? 0 : -1.16)));
      root.append(svg("text", { class: "name", x, y, "text-anchor": "middle" }, cut(titled(column), 26)));
      for (const end of [-1, 1]) {
        const [tx, ty] = project(...[0, 1, 2].map((j) => (j === k ? end * 0.92 : -1.08)));
        root.append(svg("text", { x: tx, y: ty, "text-anchor": "middle" }, short(end < 0 ? scales[k].low : scales[k].high)));
      }
    });
    const places = seen.map((i) => [...project(...cs.map((c, k) => 2 * scales[k](c.values[i]) - 1)), i])
      .sort((p, q) => q[2] - p[2]).map(([x, y, depth, i]) => [x, y, i, POINTS.kind[i] ? 0 : 60, depth]);
    clouds(root, kept(places, MOST_CLOUD), colour, "small");
    onFront(places).forEach((place) => marks(root, [place], colour, 5.5 - 1.3 * place[4]));
    above(root, (layer) => rings(root, layer, places));
    root.places = places;
  };
  paint();
  pickable(root, [], {});
  turning(root, paint);
  return root;
}
function turning(root, paint) {
  let last = null, moved = false;
  const nearest = (event) => {
    const frame = root.getBoundingClientRect(), x = event.clientX - frame.left, y = event.clientY - frame.top;
    return root.places.map((p) => [(p[0] - x) ** 2 + (p[1] - y) ** 2 - p[3], p]).filter(([d]) => d < 400).sort((a, b) => a[0] - b[0])[0];
  };
  root.addEventListener("pointerdown", (event) => { last = [event.clientX, event.clientY]; moved = false; });
  root.addEventListener("pointermove", (event) => {
    if (!last || !event.buttons) { const found = nearest(event); tip(found && describe(found[1][2]), event); return; }
    const step = [event.clientX - last[0], event.clientY - last[1]];
    moved = moved || Math.hypot(...step) > 3;
    last = [event.clientX, event.clientY];
    state.turn = [state.turn[0] + step[0] / 140, Math.max(-1.5, Math.min(1.5, state.turn[1] + step[1] / 140))];
    paint();
  });
  root.addEventListener("click", (event) => { const found = !moved && nearest(event); last = null; if (found) choose(found[1][2]); });
  root.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, 0.15], ArrowDown: [0, -0.15] }[event.key];
    if (!step) return;
    state.turn = state.turn.map((angle, k) => angle + step[k]);
    paint();
    event.preventDefault();
  });
}

function parallel(width) {
  const ks = COLUMNS.map((_, k) => k).filter((k) => k < GOALS || (state.params && COLUMNS[k].group === "parameter")).slice(0, 14);
  const height = 400, top = 44, bottom = height - 28, side = Math.min(90, width / ks.length / 2 + 10);
  const seen = visible().filter((i) => has(i, ...OBJECTIVES));
  const scales = ks.map((k) => {
    const axis = { ...axisOf(k), values: seen.map((i) => COLUMNS[k].values[i]) };
    return COLUMNS[k].goal === "minimize" ? scale(axis, top, bottom, 50) : scale(axis, bottom, top, 50);
  });
  const px = (k) => (ks.length > 1 ? side + (k * (width - 2 * side)) / (ks.length - 1) : width / 2);
  const thread = (i) => ks.map((c, k) => [px(k), finite(COLUMNS[c].values[i]) ? scales[k](COLUMNS[c].values[i]) : bottom + 14]);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group",
    "aria-label": `Parallel coordinates of ${ks.map((k) => COLUMNS[k].name).join(", ")}; on each objective's axis better is up` });
  const back = thin(seen.filter((i) => POINTS.kind[i] !== FRONT), MOST_THREADS);
  for (const [kind, name] of [[DOMINATED, ""], [INFEASIBLE, "bad"]]) {
    const d = back.filter((i) => POINTS.kind[i] === kind).map((i) => line(thread(i))).join("");
    if (d) root.append(svg("path", { class: `thread ${name}`, d, "aria-hidden": "true" }));
  }
  const colour = colourOf(), front = thin(seen.filter((i) => POINTS.kind[i] === FRONT), MOST_MARKS);
  for (const i of front) {
    const path = svg("path", { class: "thread front", d: line(thread(i)) });
    if (colour) path.style.stroke = colour(i);
    root.append(path);
  }
  above(root, (layer) => seen.filter(noted).forEach((i) => {
    const kind = i === state.chosen ? "chosen" : special(i);
    if (kind) layer.append(svg("path", { class: `thread front ${kind}`, d: line(thread(i)) }));
  }));
  ks.forEach((k, n) => {
    const x = px(n), group = svg("g", { "aria-hidden": "true" });
    group.append(svg("line", { class: "axis", x1: x, x2: x, y1: top - 4, y2: bottom + 4 }));
    group.append(svg("text", { class: "name", x, y: 16, "text-anchor": "middle" }, cut(COLUMNS[k].name, Math.max(6, Math.floor((width / ks.length) / 7.2)))));
    if (k < GOALS) group.append(svg("text", { x, y: 31, "text-anchor": "middle" }, `${COLUMNS[k].unit ? COLUMNS[k].unit + " " : ""}↑ better`));
    for (const [value, text] of scales[n].ticks) group.append(svg("text", { class: "tag", x: x + 6, y: scales[n](value) + 4 }, cut(text, 12)));
    root.append(group);
  });
  const dots = front.map((i) => [...thread(i)[0], i]);
  marks(root, dots, colour, 4.5);
  pickable(root, [...front, ...back].flatMap((i) => between(thread(i), i, POINTS.kind[i] === FRONT ? 120 : 0)), { reach: 12 });
  walkable(root);
  return root;
}
const between = (places, i, favour) => places.flatMap(([x, y], k) => {
  if (!k) return [[x, y, i, favour]];
  const [a, b] = places[k - 1];
  return [0.25, 0.5, 0.75, 1].map((t) => [a + (x - a) * t, b + (y - b) * t, i, favour]);
});

function matrix(width) {
  const m = GOALS, cell = Math.min(270, (width - 10) / m), gap = 8, size = cell * m;
  const seen = visible().filter((i) => has(i, ...OBJECTIVES)), colour = colourOf(), places = [];
  const shares = OBJECTIVES.map((_, k) => unitScale(k, seen)), left = Math.max(0, (width - size) / 2);
  const root = svg("svg", { viewBox: `0 0 ${width} ${size + 8}`, height: size + 8, role: "group",
    "aria-label": `Scatter of each pair of ${OBJECTIVES.map((c) => c.name).join(", ")}` });
  for (let row = 0; row < m; row++) for (let col = 0; col < m; col++) {
    const x = left + col * cell, y = row * cell, inner = cell - gap;
    root.append(svg("rect", { class: row === col ? "region" : "grid", x, y, width: inner, height: inner, rx: 4 }));
    if (row === col) {
      root.append(svg("text", { class: "name", x: x + inner / 2, y: y + inner / 2 - 4, "text-anchor": "middle" }, cut(titled(OBJECTIVES[row]), Math.floor(cell / 7.5))),
        svg("text", { x: x + inner / 2, y: y + inner / 2 + 14, "text-anchor": "middle" }, `${short(shares[row].low)} … ${short(shares[row].high)}`));
      continue;
    }
    const here = seen.map((i) => [x + 8 + shares[col](OBJECTIVES[col].values[i]) * (inner - 16), y + inner - 8 - shares[row](OBJECTIVES[row].values[i]) * (inner - 16), i, POINTS.kind[i] ? 0 : 20]);
    clouds(root, kept(here, MOST_MATRIX), colour, "small");
    clouds(root, onFront(here), colour || (() => "var(--accent)"), "on");
    places.push(...here);
  }
  above(root, (layer) => rings(root, layer, places, 3.6, false));
  pickable(root, places, { reach: 10 });
  return root;
}
