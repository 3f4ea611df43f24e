// What plugins add: figures, heatmaps and graphs, in the style of the page.
function pluginFigure(part, host) {
  const draw = { figure: seriesFigure, heatmap: heatFigure, graph: graphFigure }[part.type];
  figure(host, (width) => draw(width, part));
}

function seriesFigure(width, part) {
  const named = part.series.some((s) => s.x.some((v) => typeof v === "string"));
  const options = named ? [...new Set(part.series.flatMap((s) => s.x.map(String)))] : null;
  const place = (v) => (named ? options.indexOf(String(v)) : v);
  const areas = part.series.filter((s) => s.style === "area"), bars = part.series.filter((s) => s.style === "bars");
  const below = new Map(), tops = new Map();
  for (const s of areas) tops.set(s, s.x.map((v, k) => { const from = below.get(place(v)) || 0; below.set(place(v), from + (finite(s.y[k]) ? s.y[k] : 0)); return [from, below.get(place(v))]; }));
  const ys = part.series.flatMap((s) => (tops.has(s) ? tops.get(s).flat() : s.y.flatMap((v, k) => (s.error.length && finite(v) ? [v - s.error[k], v + s.error[k]] : [v]))));
  const keyed = part.series.length > 1;
  const plot = chart(width, {
    height: 300, alt: part.alt || part.title,
    x: { label: part.x, values: part.series.flatMap((s) => s.x.map(place)), log: part.log_x, options },
    y: { label: part.y, values: ys, log: part.log_y && !areas.length, include: bars.length && !part.log_y ? [0] : [] },
    draw(root, sx, sy, box) {
      const places = [], zero = bars.length && !sy.log ? sy(0) : box.bottom;
      const slot = named ? sx.step * 0.8 : Math.max(3, (0.7 * (box.right - box.left)) / Math.max(1, new Set(bars.flatMap((s) => s.x)).size));
      part.series.forEach((s, n) => {
        const one = slot / Math.max(1, bars.length), first = -slot / 2 + one * bars.indexOf(s), aside = s.style === "bars" ? first + one * 0.46 : 0;
        const spots = s.x.map((v, k) => [sx(place(v)) + aside, sy(tops.has(s) ? tops.get(s)[k][1] : s.y[k]), k]).filter((p) => finite(p[0]) && finite(p[1]));
        const colour = `s${n % 6}`;
        if (s.style === "area") {
          const floor = s.x.map((v, k) => [sx(place(v)), sy(tops.get(s)[k][0])]).reverse();
          root.append(svg("path", { class: `sarea ${colour}`, d: `${line([...spots, ...floor])}Z` }));
        } else if (s.style === "bars") {
          for (const [x, y] of spots) root.append(svg("rect", { class: `sfill ${colour}`, x: x - one * 0.46, width: Math.max(1, one * 0.92), y: Math.min(y, zero), height: Math.abs(zero - y) }));
        } else if (s.style === "points") {
          const dots = cloud(spots, "round");
          dots.style.stroke = `var(--s${n % 6})`; dots.style.opacity = 0.85;
          root.append(dots);
        } else root.append(svg("path", { class: `sline ${colour}`, d: line(spots) }));
        if (s.error.length) {
          const d = spots.filter(([, , k]) => finite(s.error[k])).map(([x, , k]) => `M${x} ${sy(s.y[k] - s.error[k])}V${sy(s.y[k] + s.error[k])}`).join("");
          root.append(svg("path", { class: `serror ${s.style === "bars" ? "ink" : colour}`, d }));
        }
        spots.forEach(([x, y, k]) => places.push([x, y, `${s.name}\n${part.x} ${fmt(s.x[k])}\n${part.y} ${fmt(s.y[k])}${s.error.length ? ` ± ${fmt(s.error[k])}` : ""}`]));
      });
      pickable(root, places, { text: (t) => t, pick: null });
    },
  });
  if (!keyed) return plot;
  const keys = part.series.map((s, n) => el("span", { class: "key" }, svg("svg", { viewBox: "0 0 14 14" }, svg("rect", { class: `sfill s${n % 6}`, x: 1, y: s.style === "line" ? 6 : 2, width: 12, height: s.style === "line" ? 2.5 : 10 })), el("bdi", {}, cut(s.name, 60))));
  return el("div", {}, el("p", { class: "legend" }, ...keys), plot);
}

function heatFigure(width, part) {
  const rows = part.rows.length, columns = part.columns.length, left = Math.min(150, 14 + 7 * Math.max(1, ...part.rows.map((r) => Math.min(20, r.length))));
  const cell = Math.max(4, Math.min(46, (width - left - 8) / Math.max(1, columns))), tall = Math.max(4, Math.min(34, cell)), height = rows * tall + 70;
  const values = part.values.flat().filter(finite), [low, high] = extent(values);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": part.alt || part.title });
  const places = [], write = cell >= 34 && tall >= 18, everyX = Math.ceil(14 / cell), everyY = Math.ceil(14 / tall);
  part.values.forEach((line, r) => line.forEach((value, c) => {
    const x = left + c * cell, y = 6 + r * tall, share = high > low && finite(value) ? (value - low) / (high - low) : 0.5;
    const box = svg("rect", { x, y, width: cell - 1, height: tall - 1, rx: 2 });
    box.style.fill = finite(value) ? ramp(share) : "var(--grid)";
    root.append(box);
    if (write) { const text = svg("text", { x: x + cell / 2, y: y + tall / 2 + 4, "text-anchor": "middle" }, finite(value) ? String(Number(value.toPrecision(2))) : "–"); text.style.fill = share > 0.55 ? "#10151a" : "#fff"; root.append(text); }
    places.push([x + cell / 2, y + tall / 2, `${part.rows[r]}, ${part.columns[c]}: ${fmt(value)}`]);
  }));
  part.rows.forEach((name, r) => r % everyY || root.append(svg("text", { x: left - 6, y: 6 + r * tall + tall / 2 + 4, "text-anchor": "end" }, cut(name, 20))));
  part.columns.forEach((name, c) => c % everyX || root.append(svg("text", { transform: `translate(${left + c * cell + cell / 2} ${rows * tall + 16}) rotate(35)` }, cut(name, 14))));
  pickable(root, places, { text: (t) => t, pick: null, reach: Math.max(cell, tall) });
  return root;
}

// Layers from left to right by the longest way from a source.
function graphFigure(width, part) {
  const n = part.nodes.length, depth = Array(n).fill(0);
  for (let round = 0; round < n; round++) for (const [a, b] of part.edges) if (depth[b] < depth[a] + 1 && depth[a] + 1 < n) depth[b] = depth[a] + 1;
  const layers = Math.max(0, ...depth) + 1, members = Array.from({ length: layers }, (_, d) => depth.map((v, k) => [v, k]).filter(([v]) => v === d).map(([, k]) => k));
  const height = Math.max(160, 62 * Math.max(1, ...members.map((m) => m.length))), root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": part.alt || part.title });
  const half = (k) => 10 + cut(part.nodes[k], 16).length * 3.6, sizes = members.map((m) => 2 * Math.max(20, ...m.map(half)));
  const gap = layers > 1 ? Math.max(4, (width - 12 - sizes.reduce((a, b) => a + b, 0)) / (layers - 1)) : 0;
  const starts = sizes.map((_, d) => 6 + sizes.slice(0, d).reduce((a, b) => a + b, 0) + d * gap);
  const spot = (k) => { const list = members[depth[k]]; return [layers > 1 ? starts[depth[k]] + sizes[depth[k]] / 2 : width / 2, (height * (list.indexOf(k) + 0.5)) / list.length]; };
  const pairs = new Map();
  for (const [a, b, label] of part.edges) {
    const [xa, y1] = spot(a), [xb, y2] = spot(b), way = xb >= xa ? 1 : -1, x1 = xa + way * half(a), x2 = xb - way * (half(b) + 5), key = `${a} ${b}`, many = pairs.get(key) || 0;
    pairs.set(key, many + 1);
    const skip = depth[b] - depth[a] > 1 ? -26 * (depth[b] - depth[a] - 1) : 0, bend = skip - many * 22, mx = (x1 + x2) / 2, my = (y1 + y2) / 2 + bend;
    root.append(svg("path", { class: "sline s0", d: `M${x1} ${y1}Q${mx} ${my + bend} ${x2} ${y2}`, opacity: 0.6 }), svg("path", { class: "sfill s0", d: `M${x2 + way * 5} ${y2}l${-way * 8} -4v8z` }), svg("text", { class: "tag", x: mx, y: my + 4 - 6, "text-anchor": "middle" }, cut(label, Math.max(6, Math.floor(width / layers / 8)))));
  }
  part.nodes.forEach((name, k) => {
    const [x, y] = spot(k), text = cut(name, 16), box = svg("rect", { class: "axis", x: x - half(k), y: y - 13, width: 2 * half(k), height: 26, rx: 13 });
    box.style.fill = "var(--panel)";
    root.append(box, svg("text", { class: "name", x, y: y + 4, "text-anchor": "middle" }, text));
  });
  return root;
}
