// The trace of the front, learning curves, slices of parameters and the timeline.
function traceView() {
  if (!at("trace") || !DATA.trace.length) return;
  const xs = [["Trials", 0, fmt], ["Computing", 1, lasting]];
  if (DATA.trace.some((row) => row[2] > 0)) xs.push(["GPU-hours", 2, fmt]);
  const ys = [];
  if (DATA.hypervolume) ys.push(["Hypervolume", 3], ["Points on the front", 4]);
  OBJECTIVES.forEach((c, k) => ys.push([`Best ${c.name}`, 5 + k]));
  let x = xs[0], y = ys[0];
  const again = figure(at("trace"), (width) => chart(width, {
    height: 260,
    x: { label: x[1] === 1 ? "Computing" : x[0], values: DATA.trace.map((r) => r[x[1]]), include: x[1] ? [0] : [], time: x[1] === 1, whole: !x[1], format: x[1] === 1 ? lasting : short },
    y: { label: y[0], values: DATA.trace.map((r) => r[y[1]]).filter(finite) },
    alt: `${y[0]} against ${x[0]}: ${fmt(DATA.trace[0][y[1]])} at first, ${fmt(DATA.trace.at(-1)[y[1]])} at the end`,
    draw(root, sx, sy, box) {
      const rows = DATA.trace.filter((r) => finite(r[y[1]]));
      if (!rows.length) return;
      let d = "";
      rows.forEach((r, k) => { d += k ? `H${coordinate(sx(r[x[1]]))}V${coordinate(sy(r[y[1]]))}` : `M${sx(r[x[1]])} ${sy(r[y[1]])}`; });
      root.append(svg("path", { class: "sline s0", d }));
      root.append(svg("path", { class: "region", d: `${d}V${box.bottom}H${sx(rows[0][x[1]])}Z` }));
      pickable(root, rows.map((r, k) => [sx(r[x[1]]), sy(r[y[1]]), k]), { pick: null, reach: 40,
        text: (k) => `${fmt(rows[k][0])} trials, ${lasting(rows[k][1])}\n${y[0]}: ${fmt(rows[k][y[1]])}\non the front: ${rows[k][4]}` });
    },
  }));
  const controls = () => at("trace-controls").replaceChildren(
    tabs("Against", xs.map(([name]) => [name, name]), x[0], (name) => { x = xs.find((a) => a[0] === name); controls(); again(); }),
    ys.length > 1 ? picker("Show", ys.map(([name]) => [name, name]), y[0], (name) => { y = ys.find((a) => a[0] === name); again(); }) : null);
  controls();
}

function curveView() {
  if (!at("curves") || !DATA.curves.length) return;
  let which = DATA.curves[0], log = false;
  const again = figure(at("curves"), (width) => chart(width, {
    height: 300, alt: `Learning curves of ${which.metric}: ${which.curves.length} trials that end between ${extent(which.curves.map((c) => c.y.at(-1))).map(fmt).join(" and ")}`,
    x: { label: DATA.fidelity, values: which.curves.flatMap((c) => c.x), whole: which.curves.every((c) => c.x.every(Number.isInteger)) },
    y: { label: which.metric, values: which.curves.flatMap((c) => c.y), log },
    draw(root, sx, sy) {
      const places = [];
      for (const c of [...which.curves].reverse()) {
        const path = c.x.map((v, k) => [sx(v), sy(c.y[k]), c]).filter((p) => finite(p[1]));
        root.append(svg("path", { class: `curve ${c.front ? "front" : ""} ${c.state}`, d: line(path) }));
        if (path.length === 1) root.append(cloud(path, "round", "small"));
        path.forEach(([px, py], k) => places.push([px, py, { c, k }, c.front ? 30 : 0]));
      }
      pickable(root, places, { text: ({ c, k }) => `Trial ${c.trial}, ${c.state}${c.front ? ", on the front" : ""}\n${DATA.fidelity} ${fmt(c.x[k])}: ${fmt(c.y[k])}`, pick: ({ c }) => choose(INDEX.get(String(c.trial))) });
    },
  }));
  const note = () => {
    at("curve-note").textContent = "Blue: trials with a point on the front. Dashed: stopped trials." + (which.left_out ? ` ${which.left_out} trials are left out here.` : "");
  };
  at("curve-controls").replaceChildren(
    picker("Metric", DATA.curves.map((c) => [c.metric, cut(c.metric, 40)]), which.metric, (name) => { which = DATA.curves.find((c) => c.metric === name); note(); again(); }),
    tick("log", log, (on) => { log = on; again(); }));
  note();
}

function sliceView() {
  if (!at("slices")) return;
  const params = COLUMNS.map((c, k) => [c, k]).filter(([c]) => c.group === "parameter").slice(0, 18);
  let y = 0;
  const agains = params.map(([column, k]) => {
    const host = el("div", { class: "figure" });
    at("slices").append(el("figure", { class: "slice" }, el("figcaption", {}, el("bdi", {}, cut(column.name, 60))), host));
    return figure(host, (width) => slice(width, column, k, y));
  });
  if (GOALS > 1) at("slice-controls").replaceChildren(picker("Objective", OBJECTIVES.map((c, k) => [k, cut(c.name, 40)]), 0, (k) => { y = Number(k); agains.forEach((again) => again()); }));
}
function slice(width, column, k, y) {
  const cy = COLUMNS[y], seen = POINTS.label.map((_, i) => i).filter((i) => has(i, column, cy));
  return chart(width, {
    height: 176, small: true, alt: `${cy.name} against ${column.name}; the table below says how strongly they go together`,
    x: { ...axisOf(k), label: "", values: seen.map((i) => column.values[i]) },
    y: { ...axisOf(y), label: cy.name, values: seen.map((i) => cy.values[i]) },
    draw(root, sx, sy) {
      const spread = (i) => (column.options ? (((i * 0.618) % 1) - 0.5) * Math.min(46, sx.step * 0.6) : 0);
      const places = seen.map((i) => [sx(column.values[i]) + spread(i), sy(cy.values[i]), i, POINTS.kind[i] ? 0 : 25]);
      clouds(root, kept(places, 1500), null, "small");
      const front = cloud(onFront(places), "round", "small");
      front.style.stroke = "var(--accent)";
      front.style.strokeWidth = "6";
      front.style.opacity = 1;
      root.append(front);
      pickable(root, places);
    },
  });
}

function timelineView() {
  const { devices, outcomes, spans, left_out } = DATA.timeline;
  if (!at("timeline") || !spans.length) return;
  const lanes = devices.map((_, d) => 1 + Math.max(0, ...spans.filter((s) => s[0] === d).map((s) => s[1])));
  const starts = lanes.map((_, d) => lanes.slice(0, d).reduce((a, b) => a + b, 0) + d * 0.4);
  const known = { done: 0, stopped: 1, failed: 2, oom: 2, nan: 2, crash: 2, timeout: 2, lost: 2, user: 2 };
  const kindOf = (outcome) => known[outcome] ?? 3;
  const total = lanes.reduce((a, b) => a + b, 0) + devices.length * 0.4;
  const lane = Math.max(3, Math.min(22, 300 / total)), longest = Math.max(...devices.map((d) => d.length));
  const end = Math.max(...spans.map((s) => s[4])) || 1;
  figure(at("timeline"), (width) => {
    const most = Math.max(13, Math.min(26, Math.floor(width / 28))), left = 16 + 7 * Math.min(most, longest);
    const ended = (name) => (name.length > most ? `…${name.slice(1 - most)}` : name); // nodes differ at the end
    const height = total * lane + 34, x = scale({ values: [0, end], tight: true, time: true, format: lasting }, left, width - 26, 90);
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": `What ${devices.length} devices did over ${lasting(end)}; the table below has their utilization` });
    for (const [value, text] of x.ticks) root.append(svg("line", { class: "grid", x1: x(value), x2: x(value), y1: 0, y2: height - 22 }), svg("text", { x: x(value), y: height - 6, "text-anchor": "middle" }, text));
    devices.forEach((name, d) => root.append(svg("text", { x: left - 8, y: (starts[d] + lanes[d] / 2) * lane + 4, "text-anchor": "end" }, ended(name))));
    const groups = new Map(), places = [];
    for (const span of spans) {
      const [d, l, , from, to, o] = span, y = (starts[d] + l) * lane;
      const kind = kindOf(outcomes[o]);
      groups.set(kind, (groups.get(kind) || "") + `M${coordinate(x(from))} ${coordinate(y)}H${coordinate(Math.max(x(to), x(from) + 1))}v${coordinate(lane * 0.86)}H${coordinate(x(from))}z`);
      places.push([(x(from) + x(to)) / 2, y + lane / 2, span, ((x(to) - x(from)) / 2) ** 2]);
    }
    for (const [kind, d] of groups) root.append(svg("path", { class: `span o${kind}`, d, "aria-hidden": "true" }));
    pickable(root, places, { reach: 12, text: (s) => `Trial ${s[2]} on ${devices[s[0]]}: ${outcomes[s[5]]}\n${lasting(s[3])} to ${lasting(s[4])}`, pick: (s) => choose(INDEX.get(String(s[2]))) });
    return root;
  });
  const key = (kind, text) => el("span", { class: "key" }, svg("svg", { viewBox: "0 0 14 14" }, svg("rect", { class: `span o${kind}`, x: 1, y: 2, width: 12, height: 10 })), text);
  const kinds = new Set(outcomes.map(kindOf));
  at("timeline-note").replaceChildren(...["done", "stopped", "failed", "other"].map((text, kind) => (kinds.has(kind) ? key(kind, text) : "")), left_out ? `The last ${left_out} attempts are left out here.` : "");
}
