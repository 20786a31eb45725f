// Part 1: the example worked by hand.
{
  const hand = data.hand;
  let theta = hand.theta.slice();
  const which = () => Number(byId("hand-which").value);
  const step = () => 10 ** Number(byId("hand-h").value);
  const costAt = (w) => pass(moved(theta, which(), w)).cost;
  const sub = ["₁", "₂"];
  const plain = ["bias of a₁", "bias of a₂", "x₁ → a₁", "x₁ → a₂", "x₂ → a₁", "x₂ → a₂", "bias of a", "a₁ → a", "a₂ → a"];
  const names = hand.labels.map((label, i) => `${plain[i]} (${label})`); // as the drawing has it, and as reports do

  const network = figure("hand-network", (host, width) => {
    const now = pass(theta), i = which(), height = 255, r = 27;
    const says = `The network: inputs ${hand.x.join(" and ")}, hidden units ${fixed(now.a[0])} and ${fixed(now.a[1])}, output ${fixed(now.answer)}.`;
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": says });
    const at = { x: [[r + 2, 70], [r + 2, 195]], a: [[width / 2, 70], [width / 2, 195]], out: [width - r - 2, 132] };
    const label = (x, y, text, on) => {
      const style = `font-size:13px;font-weight:${on ? 700 : 400};fill:${on ? "var(--orange)" : "var(--ink)"}`;
      const half = 4.2 * text.length + 2; // paper behind the number, so that no edge crosses it
      svg.append(shape("rect", { x: x - half, y: y - 13, width: 2 * half, height: 18, fill: "var(--card)" }));
      svg.append(shape("text", { x, y, "text-anchor": "middle", style }, text));
    };
    const edge = ([x1, y1], [x2, y2], index, part) => {
      const on = index === i;
      svg.append(shape("line", { x1, y1, x2, y2, stroke: on ? "var(--orange)" : "var(--quiet)", "stroke-width": on ? 3 : 1.3 }));
      return () => label(x1 + part * (x2 - x1), y1 + part * (y2 - y1) + 4, fixed(theta[index], 2), on);
    };
    const labels = [
      edge(at.x[0], at.a[0], 2, 0.5), edge(at.x[1], at.a[0], 4, 0.62), edge(at.x[0], at.a[1], 3, 0.62), edge(at.x[1], at.a[1], 5, 0.5),
      edge(at.a[0], at.out, 7, 0.4), edge(at.a[1], at.out, 8, 0.4),
    ];
    labels.forEach((draw) => draw());
    const node = ([cx, cy], text, name) => {
      svg.append(shape("circle", { cx, cy, r, fill: "var(--shade)", stroke: "var(--ink)" }));
      svg.append(shape("text", { x: cx, y: cy + 4, "text-anchor": "middle", style: "font-size:12.5px;font-weight:600" }, text));
      svg.append(shape("text", { x: cx, y: cy - r - 6, "text-anchor": "middle", style: "font-size:12px;fill:var(--quiet)" }, name));
    };
    hand.x.forEach((x, k) => node(at.x[k], String(x), `x${sub[k]}`));
    now.a.forEach((a, k) => {
      node(at.a[k], fixed(a, 3), k ? "" : `a${sub[k]}`);
      const y = k ? at.a[k][1] + r + 17 : at.a[k][1] - r - 22;
      label(at.a[k][0], y, `${k ? `a${sub[k]}, ` : ""}bias ${fixed(theta[k], 2)}`, i === k);
    });
    node(at.out, fixed(now.answer, 3), "a");
    label(at.out[0] - 14, at.out[1] + r + 17, `bias ${fixed(theta[6], 2)}`, i === 6);
    host.replaceChildren(svg);
  });

  const curve = figure("hand-curve", (host, width) => {
    const i = which(), w = theta[i], h = step(), now = pass(theta), range = [-5, 5];
    const points = Array.from({ length: 121 }, (_, k) => range[0] + ((range[1] - range[0]) * k) / 120).map((t) => [t, costAt(t)]);
    const costs = points.map(([, y]) => y), low = Math.min(...costs), high = Math.max(...costs), room = Math.max(0.15 * (high - low), 0.02);
    const y = [low - room, high + room];
    const slope = now.gradient[i], secant = central(costAt, w, h);
    const says = `The cost along ${hand.labels[i]}: at ${fixed(w, 2)} it is ${fixed(now.cost)}, and its slope is ${fixed(slope)}.`;
    const plot = new Plot(host, width, { height: 300, x: range, y, xlabel: `w = ${hand.labels[i]}`, ylabel: "cost J", says, xticks: [-4, -2, 0, 2, 4], yticks: ticks(...y, 4) });
    plot.curve(points, "var(--blue)", { wide: 2.6 });
    const ends = costAt(w - h) + secant * h;
    const clipped = (slopeOf, through) => { // a line inside of the plot
      const reach = Math.min(2.2, Math.abs(slopeOf) > 1e-9 ? (0.45 * (y[1] - y[0])) / Math.abs(slopeOf) : 2.2);
      return [[w - reach, through - slopeOf * reach], [w + reach, through + slopeOf * reach]];
    };
    plot.curve(clipped(slope, now.cost), "var(--green)", { wide: 2.2 });
    plot.curve(clipped(secant, ends), "var(--orange)", { wide: 2.2, dash: "6 4" });
    for (const t of [w - h, w + h]) if (t >= range[0] && t <= range[1]) plot.dot(t, costAt(t), "var(--orange)", { hollow: true });
    plot.dot(w, now.cost, "var(--blue)");
    legend(host, [["cost", "var(--blue)"], ["tangent", "var(--green)"], ["secant", "var(--orange)", "6 4"]]);
  });

  function steps(now) {
    const [b1, b2, w11, w21, w12, w22, b, v1, v2] = theta, [x1, x2] = hand.x;
    const n = (x) => { const text = minus(String(Number(x.toFixed(4)))); return x < 0 ? `(${text})` : text; };
    const lines = [
      `z₁ = ${n(b1)} + ${n(w11)}·${n(x1)} + ${n(w12)}·${n(x2)} = ${fixed(now.z[0])}`,
      `z₂ = ${n(b2)} + ${n(w21)}·${n(x1)} + ${n(w22)}·${n(x2)} = ${fixed(now.z[1])}`,
      `a₁ = σ(z₁) = ${fixed(now.a[0])},  a₂ = σ(z₂) = ${fixed(now.a[1])}`,
      `z = ${n(b)} + ${n(v1)}·${n(now.a[0])} + ${n(v2)}·${n(now.a[1])} = ${fixed(now.out)}`,
      `a = σ(z) = ${fixed(now.answer)}`,
      `J = −log a = ${fixed(now.cost)}`,
      `δ = ∂J/∂z = a − y = ${fixed(now.delta)}`,
      `δ₁ = ∂J/∂z₁ = ${n(v1)}·δ·a₁(1 − a₁) = ${fixed(now.deltas[0])}`,
      `δ₂ = ∂J/∂z₂ = ${n(v2)}·δ·a₂(1 − a₂) = ${fixed(now.deltas[1])}`,
      `∂J/∂Theta2 = δ·[1, a₁, a₂] = [${[6, 7, 8].map((k) => fixed(now.gradient[k])).join(", ")}]`,
      `∂J/∂Theta1, first row = δ₁·[1, x₁, x₂] = [${[0, 2, 4].map((k) => fixed(now.gradient[k])).join(", ")}]`,
      `∂J/∂Theta1, second row = δ₂·[1, x₁, x₂] = [${[1, 3, 5].map((k) => fixed(now.gradient[k])).join(", ")}]`,
    ];
    byId("hand-steps").replaceChildren(...lines.map((line) => element("li", {}, line)));
  }

  function show() {
    const i = which(), now = pass(theta), h = step(), difference = central(costAt, theta[i], h), slope = now.gradient[i];
    shown("hand-w", fixed(theta[i], 2));
    shown("hand-h", short(h, 2));
    put("hand-cost", fixed(now.cost, 6));
    put("hand-slope", fixed(slope, 8));
    put("hand-difference", fixed(difference, 8));
    put("hand-error", short(Math.abs(difference - slope), 2));
    put("hand-said", h > 0.3
      ? "A wide step: the secant cuts across the bend of the curve, and its slope is off."
      : `At this step the two agree to about ${Math.min(16, Math.max(0, Math.round(-Math.log10(Math.abs(difference - slope) / Math.max(Math.abs(slope), 1e-12)))))} digits.` +
        (h < 1e-6 ? " The first digits of the two costs cancel, and only the rest of the 16 are left." : ""));
    steps(now);
    byId("hand-gradient").replaceChildren(...names.map((label, k) => {
      const row = tableRow([label, fixed(theta[k], 2), fixed(now.gradient[k], 6)], ["", "number", "number"]);
      if (k === i) row.className = "ours";
      return row;
    }));
    network();
    curve();
  }

  options("hand-which", names, hand.moved);
  byId("hand-w").value = theta[hand.moved];
  onInput(["hand-w"], () => { theta[which()] = Number(byId("hand-w").value); show(); });
  onInput(["hand-h"], show);
  onInput(["hand-which"], () => { byId("hand-w").value = theta[which()]; show(); });
  byId("hand-reset").addEventListener("click", () => { theta = hand.theta.slice(); byId("hand-w").value = theta[which()]; show(); });
  show();
}
