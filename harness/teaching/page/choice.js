// The opening: two trainings, one with a bug that nobody sees from the curves. The reader chooses, and then is told.
{
  const right = data.bugs[0];
  const at = (bug, k) => bug.training.accuracy[k] ?? bug.training.test_accuracy; // one that stops early stays where it is
  const length = (...trained) => Math.max(...trained.map((bug) => bug.training.accuracy.length));
  const apart = (bug) => Math.max(...Array.from({ length: length(bug, right) }, (_, k) => Math.abs(at(bug, k) - at(right, k))));
  // A bug of the gradient alone, too large for a course's check, and whose curve stays nearest to that of correct code.
  const error = new Map(data.errors.map((bug) => [bug.name, bug.error]));
  const found = data.bugs.slice(1).filter((bug) => hasWrongGradient(bug) && !bug.where.includes("cost") && error.get(bug.name) > 1e-4);
  const bug = found.reduce((a, b) => (apart(b) < apart(a) ? b : a));
  const left = bug.name.length % 2 === 0; // the same place each time that the page is opened
  const shownBy = { a: left ? bug : right, b: left ? right : bug };

  const draw = (side) => figure(`choice-${side}`, (host, width) => {
    const { accuracy, test_accuracy: end } = shownBy[side].training, name = side.toUpperCase();
    const says = `Network ${name}: the share of held-out digits that it reads, by step of training. It ends at ${percent(end)}.`;
    const last = Math.max(1, length(bug, right) - 1);
    const plot = new Plot(host, width, {
      height: 230, x: [0, last], y: [0, 1], xlabel: "steps of training", ylabel: `network ${name}: held-out digits read correctly`, says,
      xticks: ticks(0, last, 5), yticks: ticks(0, 1, 4), yname: (y) => `${Math.round(100 * y)}%`, left: 50,
    });
    plot.curve(accuracy.map((value, k) => [k, value ?? NaN]), "var(--blue)");
    plot.text(width - 18, plot.py(plot.inside(end)) + 20, percent(end), { anchor: "end", colour: "var(--blue)", weight: 600 });
  });
  draw("a");
  draw("b");

  function tell(side) {
    const was = shownBy[side] === bug, name = (shownBy.a === bug ? "A" : "B");
    const first = side ? `${was ? "Yes" : "No"}: ` : ""; // on paper nobody has chosen
    const report = bug.check.diagnosis || bug.check.finding;
    const worst = bug.check.worst === null ? "without bound" : `up to ${short(bug.check.worst, 2)} times what rounding can explain`;
    byId("choice-answer").replaceChildren(
      element("p", {}, element("strong", {}, `${first}${name} has the bug.`), ` ${was ? "Was it a guess? " : ""}The curves do not tell.`),
      element("p", {}, `A gradient check tells before the first step: the gradient is off by ${worst}. Its report says`),
      element("p", {}, element("span", { class: "mono" }, report.includes(bug.description) ? report : `${report} ${bug.description}`)),
      element("p", {}, "Part 1 says what the words mean, and part 3 has this bug among others."),
    );
  }
  byId("choose-a").addEventListener("click", () => tell("a"));
  byId("choose-b").addEventListener("click", () => tell("b"));
  addEventListener("beforeprint", () => { if (!byId("choice-answer").textContent) tell(); });
}
