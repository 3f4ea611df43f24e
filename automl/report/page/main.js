// Put the parts together, and listen.
function keyOf(shape, text, attributes = {}) {
  return el("span", { class: "key" }, svg("svg", { viewBox: "0 0 14 14" }, svg(shape[0], shape[1])), text, attributes.after || null);
}
function legend() {
  const kinds = new Set(POINTS.kind), keys = [];
  if (kinds.has(FRONT)) keys.push(keyOf(["circle", { class: "mark", cx: 7, cy: 7, r: 5.5 }], "on the front"));
  if (kinds.has(DOMINATED)) keys.push(keyOf(["path", { class: "cloud round", d: "M7 7h.01" }], "dominated"));
  if (kinds.has(INFEASIBLE)) keys.push(keyOf(["path", { class: "cloud cross", d: "M3 3l8 8m0-8l-8 8" }], "not feasible"));
  if (POINTS.child.includes(1)) keys.push(keyOf(["rect", { class: "mark", x: 2, y: 2, width: 10, height: 10, rx: 1.5 }], "further point of a trial"));
  if (DATA.knee) keys.push(keyOf(["circle", { class: "mark knee", cx: 7, cy: 7, r: 5.5 }], "knee"));
  if (DATA.default) keys.push(keyOf(["path", { class: "default", d: "M7 1l6 6l-6 6l-6-6z" }], "default"));
  if (state.colour >= 0) keys.push(colourKey(COLUMNS[state.colour]));
  at("front-legend").replaceChildren(...keys);
}
function colourKey(column) {
  if (column.options) return el("span", {}, ...column.options.slice(0, 6).map((text, k) => el("span", { class: "key" }, svg("svg", { viewBox: "0 0 14 14" }, svg("circle", { class: `sfill s${k}`, cx: 7, cy: 7, r: 5.5 })), el("bdi", {}, cut(text, 24)))));
  const boxes = Array.from({ length: 24 }, (_, k) => { const r = svg("rect", { x: k * 5, y: 1, width: 5.2, height: 12 }); r.style.fill = ramp(k / 23); return r; });
  const [low, high] = colourRange(column);
  return el("span", { class: "key rampkey" }, `${titled(column)}: ${fmt(low)}`, svg("svg", { viewBox: "0 0 120 14" }, ...boxes), fmt(high));
}

const VIEWS = { scatter, cube, parallel, matrix };
function note() {
  const hidden = visible().filter((i) => POINTS.kind[i] !== FRONT).length, most = { parallel: MOST_THREADS, matrix: MOST_MATRIX }[state.view] || MOST_CLOUD;
  const front = POINTS.kind.filter((k) => k === FRONT).length, words = [];
  if (hidden > most) words.push(`${fmt(most)} of ${fmt(hidden)} points that are not on the front are drawn, evenly taken.`);
  if (front > MOST_MARKS) words.push(`${fmt(MOST_MARKS)} of ${fmt(front)} points of the front are drawn; the table has more.`);
  const beyond = Object.keys(POINTS.beyond).length;
  if (beyond && !state.beyond) words.push(`${fmt(beyond)} ${beyond === 1 ? "point that is" : "points that are"} no better than the study's reference in some objective ${beyond === 1 ? "is" : "are"} not drawn.`);
  at("front-note").textContent = words.join(" ");
}
function controls() {
  const views = [["scatter", "Scatter"]];
  if (GOALS > 2 && state.z >= 0) views.push(["cube", "3-D"]);
  if (GOALS > 1) views.push(["parallel", "Parallel"]);
  if (GOALS > 2) views.push(["matrix", "Matrix"]);
  const change = (key, turn = (v) => v) => (value) => { state[key] = turn(value); controls(); at("front-again").draw(); };
  const numeric = COLUMNS.map((c, k) => [k, cut(c.name, 32)]);
  const flat = state.view === "scatter" || state.view === "cube", parts = [];
  if (views.length > 1) parts.push(tabs("View", views, state.view, change("view")));
  if (flat) parts.push(picker("x", numeric, state.x, change("x", Number)), picker("y", numeric, state.y, change("y", Number)));
  if (state.view === "cube") parts.push(picker("z", numeric, state.z, change("z", Number)));
  parts.push(picker("colour", [[-1, "none"], ...numeric], state.colour, change("colour", Number)));
  const log = (axis) => tick(`log ${axis}`, state.logs[state[axis]], (on) => { state.logs[state[axis]] = on; at("front-again").draw(); });
  if (flat) parts.push(...["x", "y"].filter((axis) => !COLUMNS[state[axis]].options).map(log));
  if (state.view === "parallel") parts.push(tick("parameters", state.params, change("params")));
  if (POINTS.kind.includes(DOMINATED)) parts.push(tick("dominated", state.dominated, change("dominated")));
  if (POINTS.kind.includes(INFEASIBLE)) parts.push(tick("not feasible", state.infeasible, change("infeasible")));
  if (Object.keys(POINTS.beyond).length) parts.push(tick("beyond the reference", state.beyond, change("beyond")));
  if (POINTS.child.includes(1)) parts.push(tick("further points", state.children, change("children")));
  at("front-controls").replaceChildren(...parts);
}
function frontView() {
  if (!at("front-figure")) return;
  at("front-figure").append(el("div", { id: "front-again" }));
  const host = at("front-again");
  const draw = figure(host, (width) => VIEWS[state.view](width));
  host.draw = () => { draw(); legend(); note(); };
  controls();
  preference();
  frontTable();
  legend();
  note();
  drawings.push(legend);
  const first = INDEX.get(DATA.knee) ?? POINTS.kind.indexOf(FRONT);
  choose(first >= 0 ? first : 0);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.point");
  if (!button || !INDEX.has(button.dataset.point)) return;
  choose(INDEX.get(button.dataset.point));
  if (!button.closest("#front")) at("front").scrollIntoView();
});
addEventListener("beforeprint", () => document.querySelectorAll("#provenance details").forEach((d) => { d.open = true; }));

function news() {
  let version = null;
  setInterval(() => fetch("version").then((reply) => reply.text()).then((now) => {
    if (version !== null && now !== version) location.reload();
    version = now;
  }).catch(() => {}), 3000);
}

frontView();
sliceView();
traceView();
curveView();
timelineView();
document.querySelectorAll("[data-figure]").forEach((host) => pluginFigure(DATA.figures[Number(host.dataset.figure)], host));
if (document.body.dataset.live) news();
document.documentElement.dataset.ready = "1";
