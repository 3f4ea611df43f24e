// Several studies: fronts over each other, and how they grew.
const STUDIES = DATA.studies;
const studyKey = (s, n) => el("span", { class: "key" }, svg("svg", { viewBox: "0 0 14 14" }, svg("circle", { class: `sfill s${n % 6}`, cx: 7, cy: 7, r: 5.5 })), el("bdi", {}, cut(s.name, 60)));

function frontsView() {
  let x = Math.min(1, GOALS - 1), y = 0, others = true;
  const wide = (k) => {
    const [low, high] = extent(STUDIES.flatMap((s) => s.front.map((p) => p[1 + k])));
    return low > 0 && high / low > 50;
  };
  const logs = COLUMNS.map((_, k) => wide(k));
  const again = figure(at("fronts"), (width) => {
    const all = STUDIES.flatMap((s) => (others ? [...s.front, ...s.others] : s.front));
    const axis = (k) => ({ label: `${titled(COLUMNS[k])}, ${COLUMNS[k].goal === "maximize" ? "larger" : "smaller"} is better`, values: all.map((p) => p[1 + k]), log: logs[k] });
    return chart(width, {
      height: Math.max(320, Math.min(560, width * 0.5)), x: axis(x), y: axis(y),
      alt: `Fronts of ${STUDIES.map((s) => s.name).join(", ")}; the tables below have their numbers`,
      draw(root, sx, sy) {
        const places = [];
        STUDIES.forEach((s, n) => {
          const spot = ([label, ...values]) => [sx(values[x]), sy(values[y]), `${s.name}, point ${label}\n${COLUMNS.map((c, k) => `${c.name}: ${fmt(values[k])}`).join("\n")}`];
          const seen = (list) => list.filter((p) => finite(p[1 + x]) && finite(p[1 + y])).map(spot);
          if (others) { const back = cloud(seen(s.others), "round", "small"); back.style.stroke = `var(--s${n % 6})`; back.style.opacity = 0.5; root.append(back); }
        });
        STUDIES.forEach((s, n) => {
          const list = [...s.front].filter((p) => finite(p[1 + x]) && finite(p[1 + y])).sort((a, b) => sign(COLUMNS[x]) * (a[1 + x] - b[1 + x]));
          const spots = list.map((p) => [sx(p[1 + x]), sy(p[1 + y]), `${s.name}, point ${p[0]}\n${COLUMNS.map((c, k) => `${c.name}: ${fmt(p[1 + k])}`).join("\n")}`]);
          if (GOALS === 2 && x !== y) root.append(svg("path", { class: `sline s${n % 6}`, d: spots.map(([a, b], k) => (k ? `H${a}V${b}` : `M${a} ${b}`)).join("") }));
          spots.forEach(([a, b]) => root.append(svg("circle", { class: `sfill s${n % 6}`, cx: a, cy: b, r: 4.5 })));
          places.push(...spots);
        });
        pickable(root, places, { text: (t) => t, pick: null });
      },
    });
  });
  const names = COLUMNS.map((c, k) => [k, cut(c.name, 32)]);
  const controls = () => at("front-controls").replaceChildren(
    picker("x", names, x, (k) => { x = Number(k); controls(); again(); }), picker("y", names, y, (k) => { y = Number(k); controls(); again(); }),
    tick("log x", logs[x], (on) => { logs[x] = on; again(); }), tick("log y", logs[y], (on) => { logs[y] = on; again(); }),
    tick("points off the fronts", others, (on) => { others = on; again(); }));
  controls();
  at("front-legend").replaceChildren(...STUDIES.map(studyKey));
}

function tracesView() {
  const xs = [["Trials", 0], ["Computing", 1], ["GPU-hours", 2]].filter(([, k]) => k < 2 || STUDIES.some((s) => s.trace.some((r) => r[2] > 0)));
  const ys = [...(DATA.hypervolume ? [["Hypervolume", 3]] : []), ...COLUMNS.map((c, k) => [`Best ${c.name}`, 5 + k])];
  let x = xs[0], y = ys[0];
  const again = figure(at("trace"), (width) => {
    const rows = STUDIES.flatMap((s) => s.trace).filter((r) => finite(r[y[1]]));
    return chart(width, {
      height: 300, alt: `${y[0]} against ${x[0]} for each study; the table above has the last values`,
      x: { label: x[0], values: rows.map((r) => r[x[1]]), include: x[1] ? [0] : [], time: x[1] === 1, whole: !x[1], format: x[1] === 1 ? lasting : short },
      y: { label: y[0], values: rows.map((r) => r[y[1]]) },
      draw(root, sx, sy) {
        const places = [];
        STUDIES.forEach((s, n) => {
          const list = s.trace.filter((r) => finite(r[y[1]]));
          root.append(svg("path", { class: `sline s${n % 6}`, d: list.map((r, k) => { const a = coordinate(sx(r[x[1]])), b = coordinate(sy(r[y[1]])); return k ? `H${a}V${b}` : `M${a} ${b}`; }).join("") }));
          list.forEach((r) => places.push([sx(r[x[1]]), sy(r[y[1]]), `${s.name}: ${fmt(r[0])} trials, ${lasting(r[1])}\n${y[0]}: ${fmt(r[y[1]])}`]));
        });
        pickable(root, places, { text: (t) => t, pick: null, reach: 40 });
      },
    });
  });
  const controls = () => at("trace-controls").replaceChildren(
    tabs("Against", xs.map(([name]) => [name, name]), x[0], (name) => { x = xs.find((a) => a[0] === name); controls(); again(); }),
    picker("Show", ys.map(([name]) => [name, name]), y[0], (name) => { y = ys.find((a) => a[0] === name); again(); }),
    ...STUDIES.map(studyKey));
  controls();
}

frontsView();
tracesView();
document.documentElement.dataset.ready = "1";
