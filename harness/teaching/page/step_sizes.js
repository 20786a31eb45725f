// Part 2: the V-curve, and what a tolerance hides.
{
  const steps = data.steps, w = steps.w, exact = steps.exact;
  const LOOK = {
    increments: ["var(--blue)", ""], "complex step": ["var(--green)", "2 4"], forward: ["var(--purple)", ""],
    Richardson: ["var(--ink)", "2 3"], central: ["var(--orange)", "9 7"],
  }; // in the order in which they are drawn: where two give the same, both show
  const FLOOR = -17; // an error of zero is drawn here
  const constant = () => { const k = Number(byId("steps-size").value); return k ? 10 ** k : 0; };
  const costPlus = (c) => (t) => pass(moved(data.hand.theta, data.hand.moved, t)).cost + c;
  const errorOf = (answer) => Math.abs(answer - exact) / Math.abs(exact);
  const log = (error) => (error > 0 ? Math.max(FLOOR, Math.log10(error)) : FLOOR);
  const grid = Array.from({ length: 129 }, (_, k) => -16 + k / 8);

  const curve = figure("steps-curve", (host, width) => {
    const c = constant(), f = costPlus(c), at = Number(byId("steps-h").value);
    const says = `Relative error against step, both logarithmic. ${Object.keys(METHODS).map((name) => `${name}: ${short(errorOf(METHODS[name](f, w, 10 ** at)), 1)}`).join("; ")} at h = ${power(at)}.`;
    const plot = new Plot(host, width, {
      height: 400, left: 52, x: [-16, 0], y: [-17.5, 2.2], xlabel: "step h", ylabel: "relative error", says,
      xticks: [-16, -12, -8, -4, 0], yticks: [-16, -12, -8, -4, 0], xname: (t) => `1e${minus(String(t))}`, yname: (t) => `1e${minus(String(t))}`,
    });
    plot.add("line", { x1: plot.px(at), x2: plot.px(at), y1: plot.top, y2: plot.py(-17.5), stroke: "var(--ink)", "stroke-dasharray": "3 3" });
    const python = steps.curves.find((row) => row.constant === c);
    for (const [name, [stroke, dash]] of Object.entries(LOOK)) {
      const take = METHODS[name];
      plot.curve(grid.map((k) => [k, log(errorOf(take(f, w, 10 ** k)))]), stroke, { dash });
      if (python) python.answers[name].forEach((answer, i) => plot.dot(steps.steps[i], log(errorOf(answer)), stroke, { r: 3, hollow: true }));
      plot.dot(at, log(errorOf(take(f, w, 10 ** at))), stroke);
    }
    const spot = (x, y) => [plot.px(x), plot.py(y)];
    if (width > 420) plot.text(...spot(-0.1, -13.4), "truncation", { quiet: true, anchor: "end" });
    plot.text(...spot(-12.6, Math.min(1.2, c ? Math.log10(c) + 0.6 : 0.2)), "rounding", { quiet: true });
    legend(host, Object.keys(METHODS).map((name) => [name, ...LOOK[name]]));
  });

  function show() {
    const k = Number(byId("steps-h").value), h = 10 ** k, c = constant(), f = costPlus(c);
    shown("steps-h", power(k));
    shown("steps-size", c ? power(Number(byId("steps-size").value)) : "none");
    const rows = Object.entries(METHODS).map(([name, take]) => [name, take(f, w, h)]);
    byId("steps-rows").replaceChildren(...rows.map(([name, answer]) => tableRow([name, fixed(answer, 10), short(errorOf(answer), 2)], ["", "number", "number"])));
    const digits = (name) => Math.max(0, Math.floor(-Math.log10(Math.max(errorOf(rows.find(([other]) => other === name)[1]), 1e-16))));
    put("steps-said", `At h = ${power(k)} the central difference has ${digits("central")} right digits, the forward difference ${digits("forward")}, increments ${digits("increments")}.` +
      (c >= 1e6 ? " The rest of the cost drowns the plain differences, although it changes no derivative." : ""));
    curve();
  }
  onInput(["steps-h", "steps-size"], show);
  show();

  // -- what a limit on the relative error hides -------------------------------------------------------------------------

  const bugs = data.errors.filter((bug) => bug.error !== null).sort((a, b) => a.error - b.error);
  const same = bugs.filter((bug) => bug.error < 1e-13), visible = bugs.filter((bug) => bug.error >= 1e-13);
  const strip = figure("hides-strip", (host, width) => {
    const limit = Number(byId("hides-limit").value);
    const says = `${visible.length} bugs by how far they move the gradient, from ${short(visible[0].error, 1)} to ${short(visible.at(-1).error, 1)}.`;
    const left = 24, x = [-12, 0.7], piles = new Map();
    const placed = visible.map((bug) => { // dots of one place stand on each other
      const log = Math.log10(bug.error), place = Math.round((((log - x[0]) / (x[1] - x[0])) * (width - left - 16)) / 10);
      const pile = piles.get(place) ?? 0;
      piles.set(place, pile + 1);
      return { bug, log, pile };
    });
    const tallest = Math.max(6, ...piles.values());
    const plot = new Plot(host, width, {
      height: 74 + 10 * tallest, x, y: [0, tallest], xlabel: "relative error of the whole gradient", ylabel: "one dot, one bug", says, left,
      xticks: [-12, -9, -6, -3, 0], yticks: [], xname: (t) => `1e${minus(String(t))}`,
    });
    plot.add("rect", { x: plot.left, y: plot.top, width: Math.max(0, plot.px(limit) - plot.left), height: plot.py(0) - plot.top, fill: "var(--orange)", opacity: 0.13 });
    plot.add("line", { x1: plot.px(limit), x2: plot.px(limit), y1: plot.top, y2: plot.py(0), stroke: "var(--orange)", "stroke-width": 2 });
    for (const { bug, log, pile } of placed) {
      const made = plot.dot(log, 0.5 + pile, bug.error < 10 ** limit ? "var(--orange)" : "var(--blue)", { r: 4.6 });
      made.append(shape("title", {}, `${bug.name}: ${short(bug.error, 2)}`));
    }
  });
  function limitMoved() {
    const k = Number(byId("hides-limit").value), limit = 10 ** k, hidden = visible.filter((bug) => bug.error < limit);
    shown("hides-limit", power(k));
    put("hides-said", `${hidden.length} of ${visible.length} bugs pass below ${power(k)}` +
      (same.length ? `; ${same.length} more leave this gradient as it is, or do their damage elsewhere.` : "."));
    byId("hides-names").replaceChildren(...hidden.map((bug) => element("li", {}, `${bug.name} (${short(bug.error, 2)})`)));
    strip();
  }
  onInput(["hides-limit"], limitMoved);
  limitMoved();
}
