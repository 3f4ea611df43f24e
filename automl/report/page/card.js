// The chosen point's card, the front as a table, and the reader's preference.
const row = (name, ...cells) => el("tr", {}, el("th", { scope: "row" }, el("bdi", {}, name)), ...cells.map((cell) => el("td", { class: cell.dataset && cell.dataset.num ? "num" : "" }, cell)));
const number = (c) => ({ "data-num": c.options ? false : "1" });
const quoted = (text) => (/^[\w./=+:,@%-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function command(words) {
  const text = words.map(quoted).join(" ");
  const copy = (event) => navigator.clipboard.writeText(text).then(() => { event.target.textContent = "Copied"; }, () => { event.target.textContent = "Select and copy"; });
  return el("div", { class: "command" }, el("code", {}, text), el("button", { type: "button", class: "quiet", onclick: copy }, "Copy"));
}
function against(column, i) {
  const base = DATA.default === null ? undefined : column.values[INDEX.get(DATA.default)], value = column.values[i];
  if (!finite(base) || !finite(value) || base === value) return "";
  const better = (value - base) * sign(column) < 0, share = base ? ` ${value > base ? "+" : "−"}${fmt(Number(Math.abs((100 * (value - base)) / base).toPrecision(2)))}%` : "";
  return `${better ? "better" : "worse"}${share}`;
}

function card(i) {
  const chips = [el("span", { class: `chip ${POINTS.kind[i] === FRONT ? "on" : POINTS.kind[i] === INFEASIBLE ? "bad" : ""}` }, KINDS[POINTS.kind[i]])];
  if (POINTS.label[i] === DATA.knee) chips.push(el("span", { class: "chip knee" }, "knee"));
  if (POINTS.label[i] === DATA.default) chips.push(el("span", { class: "chip" }, "default"));
  if (i === state.yours && state.touched) chips.push(el("span", { class: "chip yours" }, "your preference"));
  if (POINTS.beyond[i]) chips.push(el("span", { class: "chip bad" }, "beyond the reference"));
  if (POINTS.child[i]) chips.push(el("span", { class: "chip" }, `further point of trial ${POINTS.trial[i]}`));
  const group = (name) => COLUMNS.filter((c) => c.group === name && c.values[i] !== null);
  const lines = group("objective").map((c) => row(c.name, el("strong", number(c), `${shown(c, i)} ${c.unit || ""}`), el("span", { class: "soft", "data-num": "1" }, against(c, i))));
  const parts = [el("h3", {}, el("bdi", {}, `Point ${POINTS.label[i]}`)), el("p", {}, ...chips.flatMap((c) => [c, " "]))];
  if (POINTS.violated[i]) parts.push(el("p", { class: "soft" }, `Breaks: ${POINTS.violated[i].join("; ")}`));
  parts.push(el("table", {}, el("tbody", {}, ...lines)));
  for (const [title, name] of [["Parameters", "parameter"], ["Other metrics", "metric"]]) {
    if (!group(name).length) continue;
    parts.push(el("h4", {}, title), el("table", {}, el("tbody", {}, ...group(name).map((c) => row(c.name, el("bdi", number(c), `${shown(c, i)} ${c.unit || ""}`))))));
  }
  const facts = [["trained for", lasting(POINTS.seconds[i] || 0)], ["proposed by", POINTS.origin[i]]];
  if (DATA.hypervolume && POINTS.contribution[i] !== undefined) facts.push(["hypervolume lost without it", fmt(POINTS.contribution[i])]);
  if (POINTS.chance[i] !== undefined) facts.push(["probably on the front", `${Math.round(100 * POINTS.chance[i])}%`]);
  if (POINTS.artifact[i]) facts.push(["artefact", POINTS.artifact[i]]);
  parts.push(el("h4", {}, "Where it comes from"), el("table", {}, el("tbody", {}, ...facts.map(([k, v]) => row(k, el("bdi", {}, v))))));
  parts.push(el("h4", {}, "Use it"), command(["automl", "export", DATA.where, "--point", POINTS.label[i]]), command(["automl", "retrain", DATA.where, "--point", POINTS.label[i], "--seeds", "3"]));
  return parts;
}
function choose(i, focus = false) {
  if (i === undefined || i === null) return;
  state.chosen = i;
  at("card").replaceChildren(...card(i));
  again();
  markRows();
  if (focus) focusMark(POINTS.label[i]);
}
function again() {
  const drawn = at("front-again").firstElementChild;
  if (drawn && drawn.choice) drawn.choice();
}
function focusMark(label) {
  const node = [...at("front-figure").querySelectorAll(".mark")].find((m) => m.dataset.point === label);
  if (node) node.focus();
}

// The front as a table that sorts by any column.
const order = { column: 0, down: OBJECTIVES[0] && OBJECTIVES[0].goal === "maximize" };
function frontTable() {
  const columns = COLUMNS.filter((c, k) => k < GOALS || (c.group === "parameter")).slice(0, GOALS + 12);
  const list = POINTS.label.map((_, i) => i).filter((i) => POINTS.kind[i] === FRONT);
  const by = columns[order.column], direction = order.down ? -1 : 1;
  const key = (i) => (finite(by.values[i]) ? by.values[i] : Infinity);
  list.sort((a, b) => direction * (key(a) - key(b)) || a - b);
  const head = columns.map((c, k) => {
    const sorted = order.column === k ? (order.down ? "descending" : "ascending") : "none";
    const again = () => { order.down = order.column === k ? !order.down : false; order.column = k; frontTable(); };
    return el("th", { scope: "col", class: c.options ? "" : "n", "aria-sort": sorted }, el("button", { type: "button", class: "sort", onclick: again }, el("bdi", {}, cut(titled(c), 32)), { ascending: " ▲", descending: " ▼", none: "" }[sorted]));
  });
  const rows = list.slice(0, 500).map((i) => el("tr", { "data-row": POINTS.label[i] },
    el("th", { scope: "row" }, el("button", { type: "button", class: "point", "data-point": POINTS.label[i] }, POINTS.label[i]), POINTS.label[i] === DATA.knee ? el("span", { class: "chip knee" }, "knee") : POINTS.beyond[i] ? el("span", { class: "chip" }, "beyond the reference") : null),
    ...columns.map((c) => el("td", { class: c.options ? "" : "n" }, el("bdi", {}, cut(shown(c, i), 48))))));
  if (!rows.length) { at("front-table").replaceChildren(el("p", { class: "empty" }, "No feasible point, so there is no front.")); return; }
  at("front-table").replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Point"), ...head)), el("tbody", {}, ...rows)));
  markRows();
}
function markRows() {
  const label = state.chosen === null ? null : POINTS.label[state.chosen];
  for (const node of at("front-table").querySelectorAll("tr[data-row]")) node.classList.toggle("chosen", node.dataset.row === label);
}

// The point whose worst weighted loss against the front's best is smallest (weighted Chebyshev).
function preferred() {
  const front = POINTS.label.map((_, i) => i).filter((i) => POINTS.kind[i] === FRONT && has(i, ...OBJECTIVES));
  const counting = front.filter((i) => !POINTS.beyond[i]), list = counting.length ? counting : front;
  const ranges = OBJECTIVES.map((c) => extent(list.map((i) => c.values[i])));
  let best = null, least = Infinity;
  for (const i of list) {
    const losses = OBJECTIVES.map((c, k) => {
      const [low, high] = ranges[k], span = high - low || 1;
      return (state.weights[k] / 100) * (c.goal === "maximize" ? high - c.values[i] : c.values[i] - low) / span;
    });
    const loss = Math.max(...losses) + 1e-3 * losses.reduce((a, b) => a + b, 0);
    if (loss < least) { least = loss; best = i; }
  }
  return best;
}
function preference() {
  const front = POINTS.kind.filter((kind) => kind === FRONT).length;
  if (GOALS < 2 || front < 2) return;
  const result = el("span", {});
  const update = () => {
    state.yours = preferred();
    const label = POINTS.label[state.yours];
    result.replaceChildren("→ ", el("button", { type: "button", class: "point", "data-point": label }, `point ${label}`));
    if (state.touched) again();
  };
  const sliders = OBJECTIVES.map((c, k) => {
    const value = el("span", {}, "50");
    const move = (e) => { state.weights[k] = Number(e.target.value); value.textContent = e.target.value; state.touched = true; update(); };
    return el("div", { class: "weight" }, el("label", { for: `weight-${k}` }, el("bdi", {}, cut(c.name, 36)), value),
      el("input", { type: "range", id: `weight-${k}`, min: 0, max: 100, value: 50, oninput: move }));
  });
  at("preference").className = "preference";
  at("preference").replaceChildren(el("p", { class: "soft" }, "How much does each objective matter to you? ", result), el("div", { class: "weights" }, ...sliders));
  update();
}
