// Part 5: beside a kink, and where a unit is saturated.
{
  const alarms = data.alarms;
  const CASES = [
    { key: "kink", name: "a ReLU beside its kink", start: 12, cost: (z) => 0.5 * (Math.max(z, 0) + 1) ** 2, slope: (z) => (z > 0 ? z + 1 : 0) },
    { key: "saturated", name: "a saturated sigmoid", start: 9, cost: (z) => softplus(sigmoid(z)), slope: (z) => { const e = Math.exp(-Math.abs(z)); return sigmoid(sigmoid(z)) * e / (1 + e) ** 2; } },
  ];
  const current = () => CASES[chosenIn("wolf-cases")[0]];
  const row = () => alarms[current().key][Number(byId("wolf-z").value)];

  const curve = figure("wolf-curve", (host, width) => {
    const { cost, key } = current(), { z } = row(), h = 10 ** Number(byId("wolf-h").value);
    const half = key === "kink" ? Math.max(3 * h, 1.6 * Math.abs(z)) : 6, x = [z - half, z + half];
    const points = Array.from({ length: 161 }, (_, k) => x[0] + (2 * half * k) / 160).map((t) => [t, cost(t)]);
    const costs = points.map(([, y]) => y), low = Math.min(...costs), high = Math.max(...costs), room = Math.max(0.15 * (high - low), 1e-12);
    const y = [low - room, high + room], secant = central(cost, z, h);
    const says = `The cost near z = ${short(z, 2)}; the difference over a step of ${short(h, 1)} has the slope ${short(secant, 3)}, the right one is ${short(row().analytic, 3)}.`;
    const plot = new Plot(host, width, { height: 280, x, y, xlabel: "pre-activation z", ylabel: "cost", says, xticks: [z - half / 2, z, z + half / 2], yticks: [low, high], xname: (t) => short(t, 2), yname: (t) => fixed(t, 4), left: 62 });
    plot.curve(points, "var(--blue)", { wide: 2.6 });
    const reach = key === "kink" ? 2.2 * h : 5;
    plot.curve([[z - reach, cost(z - h) + secant * (h - reach)], [z + reach, cost(z - h) + secant * (h + reach)]], "var(--orange)", { dash: "6 4" });
    for (const t of [z - h, z + h]) plot.dot(t, cost(t), "var(--orange)", { hollow: true });
    plot.dot(z, cost(z), "var(--blue)");
    legend(host, [["cost", "var(--blue)"], ["secant of the naive check", "var(--orange)", "6 4"]]);
  });

  function show() {
    const { cost, slope, key } = current(), { z, verdict } = row(), k = Number(byId("wolf-h").value), h = 10 ** k;
    const numeric = central(cost, z, h), analytic = slope(z), size = Math.max(Math.abs(numeric), Math.abs(analytic));
    const error = size ? Math.abs(numeric - analytic) / size : 0, alarm = !(error <= alarms.enough);
    shown("wolf-z", short(z, 3));
    shown("wolf-h", power(k));
    put("wolf-analytic", short(analytic, 6));
    put("wolf-numeric", short(numeric, 6));
    put("wolf-error", short(error, 2));
    put("wolf-naive", alarm ? "cries wolf" : "passes");
    byId("wolf-naive").className = alarm ? "alarm verdict" : "pass verdict";
    put("wolf-harness", verdict);
    byId("wolf-harness").className = `verdict ${verdict}`;
    const why = key === "kink" ? (Math.abs(z) < h ? "The step reaches across the kink." : "The step stays on one side of the kink.") : `The cost is near ${fixed(cost(z), 2)} and rounded to about 1e−16; divided by h, that is ${short(1e-16 / h, 1)}, beside a derivative of ${short(analytic, 1)}.`;
    put("wolf-said", `${why} ${alarm ? "The gradient is right, and the naive check condemns it." : "The naive check passes the right gradient."}`);
    curve();
  }
  function another() {
    const { key, start } = current(), slider = byId("wolf-z");
    slider.max = String(alarms[key].length - 1);
    slider.value = String(start);
    show();
  }
  choices("wolf-cases", "radio", CASES.map(({ name }) => name), [0], another);
  onInput(["wolf-z", "wolf-h"], show);
  another();

  const kinds = Object.keys(data.detection.problems);
  matrix(byId("wolf-table"), "Correct code called wrong, by kind of problem, percent", kinds.map((kind) => `${kind} (${data.detection.correct_problems[kind]})`),
    Object.entries(data.detection.false_alarms).map(([name, byKind]) => [name, kinds.map((kind) => shareCell(byKind[kind].count, byKind[kind].total, true))]));
}
