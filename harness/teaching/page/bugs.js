// Part 3: a bug, its training, its heat map, and what checkers say of it.
{
  const right = data.bugs[0], bugs = data.bugs.slice(1);
  const chosen = () => bugs[Number(byId("bug-which").value)];
  const points = (share) => `${(100 * share).toFixed(1)} points`;
  const SAYS = { alarm: "wrong", pass: "passes it", inconclusive: "cannot tell" };

  const lines = (id, field, ylabel, name, nearest) => figure(id, (host, width) => {
    const bug = chosen(), ours = right.training[field], theirs = bug.training[field];
    const all = [...ours, ...theirs].filter((y) => y !== null), last = Math.max(ours.length, theirs.length) - 1;
    const y = field === "accuracy" ? [0, 1] : [0, Math.min(Math.max(...all), 8)];
    const end = (row) => row.findLast((value) => value !== null);
    const says = `${ylabel} by step of training: correct code ends at ${name(end(ours))}, ${bug.name} at ${name(end(theirs))}.`;
    const plot = new Plot(host, width, {
      height: 250, x: [0, Math.max(1, last)], y, xlabel: "steps of training", ylabel, says, xticks: ticks(0, last, 5), yticks: ticks(...y, 4), yname: name, left: 50,
    });
    plot.curve(ours.map((value, k) => [k, value ?? NaN]), "var(--blue)");
    plot.curve(theirs.map((value, k) => [k, value ?? NaN]), "var(--orange)", { dash: "7 4" });
    legend(host, [["correct code", "var(--blue)"], [bug.name, "var(--orange)", "7 4"]]);
  });
  const accuracy = lines("bug-accuracy", "accuracy", "held-out digits read correctly", (y) => `${Math.round(100 * y)}%`);
  const cost = lines("bug-cost", "cost", "cost that the code reports", (y) => short(y, 2));

  // -- the heat map -----------------------------------------------------------------------------------------------------

  const LOWEST = -4, PER_DECADE = 12;
  const topOf = (bug) => Math.min(16, Math.max(4, 4 * Math.ceil(Math.log10(bug.check.worst ?? 1e16) / 4)));
  const mix = (a, b, t) => [0, 1, 2].map((k) => Math.round(a[k] + t * (b[k] - a[k])));
  const rgb = (name) => { const hex = colour(name); return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)); };
  function palette(top = topOf(chosen())) {
    const [low, high, warm, hot, none] = ["within-low", "within-high", "beyond-low", "beyond-high", "unbounded"].map(rgb);
    return Array.from({ length: 256 }, (_, level) => {
      if (level === 255) return none;
      const log = level ? LOWEST + (level - 0.5) / PER_DECADE : LOWEST;
      return log <= 0 ? mix(low, high, (log - LOWEST) / -LOWEST) : mix(warm, hot, Math.min(1, log / top));
    });
  }
  function paint(host, columns, rows, scale, says, levelAt) { // levelAt(column, row): a byte, or -1 for paper
    const canvas = element("canvas", { width: columns * scale, height: rows * scale, role: "img", "aria-label": says });
    const context = canvas.getContext("2d"), colours = palette();
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
      const level = levelAt(column, row);
      if (level < 0) continue;
      context.fillStyle = `rgb(${colours[level].join(",")})`;
      context.fillRect(column * scale, row * scale, scale, scale);
    }
    host.replaceChildren(canvas);
  }
  const sides = (bug) => bytesOf(bug.check.heat);
  const theta1 = figure("bug-theta1", (host) => {
    const bug = chosen(), levels = sides(bug), [beyond] = bug.check.beyond;
    const says = `Theta1: ${beyond.toLocaleString("en")} of 10,025 derivatives are beyond their bound.`;
    paint(host, 5 * 21 - 1, 5 * 21 - 1, 5, says, (column, row) => {
      const [u, x] = [Math.floor(column / 21), column % 21], [v, y] = [Math.floor(row / 21), row % 21];
      return x === 20 || y === 20 ? -1 : levels[(5 * v + u) * 401 + 1 + 20 * x + y]; // an image is unrolled by columns
    });
    host.append(element("figcaption", {}, `${says} (The 25 biases are beside Theta2.)`));
  });
  const theta2 = figure("bug-theta2", (host) => {
    const bug = chosen(), levels = sides(bug), [, beyond] = bug.check.beyond;
    const biases = Array.from({ length: 25 }, (_, unit) => levels[unit * 401]), off = biases.filter((level) => level > -PER_DECADE * LOWEST && level < 255).length;
    const says = `Theta2, 10 outputs by bias and 25 units: ${beyond} of 260 are beyond their bound. Below it the 25 biases of Theta1: ${off} are.`;
    paint(host, 26, 12, 16, says, (column, row) => (row < 10 ? levels[10025 + 26 * row + column] : row === 10 || !column ? -1 : biases[column - 1]));
    host.append(element("figcaption", {}, says));
  });
  const scale = figure("bug-scale", (host, width) => {
    const top = topOf(chosen()), colours = palette(top), levels = PER_DECADE * (top - LOWEST);
    const says = `Colours: pale blue at 1e-4 of the bound, blue up to the bound, orange beyond it, strongest at ${power(top)} times the bound.`;
    const svg = shape("svg", { viewBox: `0 0 ${width} 46`, role: "img", "aria-label": says });
    const place = (level) => 12 + (level / levels) * (width - 24);
    for (let level = 0; level < levels; level += 2) {
      svg.append(shape("rect", { x: place(level), y: 6, width: (2 * (width - 24)) / levels + 0.6, height: 14, fill: `rgb(${colours[1 + level].join(",")})` }));
    }
    for (const [log, text] of [[-4, "1e−4"], [0, "bound"], [top / 2, power(top / 2)], [top, power(top)]]) {
      svg.append(shape("text", { x: place((log - LOWEST) * PER_DECADE), y: 38, "text-anchor": log === -4 ? "start" : log === top ? "end" : "middle", style: "font-size:12px;fill:var(--quiet)" }, text));
    }
    host.replaceChildren(svg);
  });

  // -- words ------------------------------------------------------------------------------------------------------------

  function digitsOf(bug) {
    const shownDigits = bug.training.misread.map(([row, read]) => {
      const { written, ink } = data.digits[row], canvas = element("canvas", { width: 20, height: 20, role: "img", "aria-label": `a handwritten ${written}` });
      const pixels = bytesOf(ink), context = canvas.getContext("2d"), image = context.createImageData(20, 20);
      for (let x = 0; x < 20; x++) for (let y = 0; y < 20; y++) image.data.set([255 - pixels[20 * x + y], 255 - pixels[20 * x + y], 255 - pixels[20 * x + y], 255], 4 * (20 * y + x));
      context.putImageData(image, 0, 0);
      return element("li", {}, canvas, `${written} read as ${read}`);
    });
    byId("bug-digits").replaceChildren(...shownDigits);
  }

  function show() {
    const bug = chosen(), training = bug.training, ahead = training.test_accuracy - right.training.test_accuracy;
    put("bug-description", bug.description);
    const beside = ahead > 0 ? `${points(ahead)} more than correct code` : ahead < 0 ? `${points(-ahead)} less than correct code` : "as many as correct code";
    put("bug-said", `Trained with ${bug.name}, the network reads ${percent(training.test_accuracy)} of the held-out digits, ${beside} (${percent(right.training.test_accuracy)}).`);
    put("bug-planted", `The check compares several programs for the gradient. The bug is in ${bug.planted.join(" and ")}.`);
    put("bug-verdict", bug.check.verdict);
    byId("bug-verdict").className = `verdict ${bug.check.verdict}`;
    put("bug-finding", bug.check.finding);
    put("bug-diagnosis", bug.check.diagnosis ? `Diagnosis: ${bug.check.diagnosis}` : "");
    byId("bug-checkers").replaceChildren(...bug.checkers.map((row) => {
      const made = tableRow([row.checker, SAYS[row.says], row.number === null ? "" : short(row.number, 2), row.bound === null ? "" : row.checker === "harness" ? "1" : short(row.bound, 2)], ["", row.says, "number", "number"]);
      if (row.checker === "harness") made.className = "ours";
      return made;
    }));
    digitsOf(bug);
    for (const redraw of [accuracy, cost, theta1, theta2, scale]) redraw();
  }
  byId("bug-rules").replaceChildren(...right.checkers.flatMap(({ checker }) => [element("dt", {}, element("strong", {}, checker)), element("dd", {}, data.rules[checker])]));
  options("bug-which", bugs.map((bug) => `${bug.name} (${percent(bug.training.test_accuracy)})`), Math.max(0, bugs.findIndex((bug) => bug.name === "slope-missing")));
  for (const where of new Set(bugs.map((bug) => bug.where))) {
    const group = element("optgroup", { label: where });
    byId("bug-which").append(group);
    bugs.forEach((bug, i) => { if (bug.where === where) group.append(byId("bug-which").querySelector(`option[value="${i}"]`)); });
  }
  onInput(["bug-which"], show);
  show();
}
