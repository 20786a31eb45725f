// What is left: sentences with numbers in them, exercises, the footer, and where the reader is.
{
  const right = data.bugs[0].training, bugs = data.bugs.slice(1), hand = data.hand;
  const { examples, held_out: heldOut, line_searches: searches, l2 } = data.training;
  const seen = bugs.filter((bug) => bug.check.verdict === "disagree"); // the others are not there at this network's shape
  const beyond = seen.filter((bug) => bug.training.test_accuracy > right.test_accuracy), near = seen.filter((bug) => bug.training.test_accuracy >= right.test_accuracy - 0.02);
  const byKind = (where, ofCost) => {
    const [all, alike] = [seen, near].map((bugs) => bugs.filter((bug) => hasWrongGradient(bug) && bug.where.includes("cost") === ofCost).length);
    return all ? `${alike} of ${all} bugs ${where}` : "";
  };
  const list = (names) => (names.length ? names.join(", ") : "none");
  const sentences = {
    teaser: `with ${[byKind("in the gradient alone", false), byKind("in the cost, too", true)].filter(Boolean).join(", and ")}, a network reads at most two in a hundred fewer held-out digits than with correct code.`,
    "best-step": `Here the best h is about ${short(data.steps.best.central.step, 1)}: the two agree to ${data.steps.best.central.digits.toFixed(0)} digits, and an error beyond those goes unseen.`,
    checked: String(data.bugs[0].check.examples),
    trainings: `${examples.toLocaleString("en")} digits to learn from and ${heldOut.toLocaleString("en")} held out, 400 pixels, 25 hidden units and 10 outputs, a regulariser times λ = ${l2}, and ${searches} steps of training from the same weights`,
    study: `The numbers are from a study of ${data.detection.date} with ${Object.values(data.detection.places).flat().length} bugs on ${Object.entries(data.detection.problems).map(([kind, count]) => `${count} problems “${kind}”`).join(", ")}, seed ${data.detection.seed}.`,
    "blind-problem": data.blind.problem,
    "left-out": Object.keys(data.left_out).length ? `Not asked, since not installed: ${Object.keys(data.left_out).join(", ")}.` : "",
  };
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = sentences[place.dataset.text];

  const unseenBy = data.blind.switches.map((name, i) => [name, data.blind.unseen[data.blind.switches.map((_, k) => (k === i ? "1" : "0")).join("")].length]);
  const worstSwitch = unseenBy.reduce((a, b) => (b[1] > a[1] ? b : a));
  const hidden = data.errors.filter((bug) => bug.error !== null && bug.error >= 1e-13 && bug.error < 1e-4).map((bug) => bug.name);
  const missedBy = bugs.filter((bug) => bug.checkers[0].says === "alarm" && bug.checkers.every((row) => row.checker === "harness" || row.says !== "alarm")).map((bug) => bug.name);
  const kink = data.alarms.kink.filter((row) => row.alarm).map((row) => Math.abs(row.z));
  const exercises = [
    ["In part 1, work out δ₂ and ∂J/∂Theta1[1, 2] for the numbers at the start, by hand.",
      `δ₂ = ${fixed(hand.gradient[1], 6)}: the bias’s derivative is δ₂ itself. ∂J/∂Theta1[1, 2] = δ₂·x₂ = ${fixed(hand.gradient[5], 6)}.`],
    ["Somebody forgets the factor a(1 − a) in δ₂. By what factor is it wrong, and would you see it in the cost?",
      `By 1/(a₂(1 − a₂)) = ${fixed(1 / (pass(hand.theta).a[1] * (1 - pass(hand.theta).a[1])), 4)}. The cost comes from the forward pass, and is right.`],
    ["At which power of ten for h is the central difference best, and why is it not the smallest?",
      `At h = ${short(data.steps.best.central.step, 1)}, with ${data.steps.best.central.digits.toFixed(0)} digits. Truncation falls with h² and rounding grows with 1/h, so they meet near the cube root of 1e−16. The forward difference is best near the square root: ${short(data.steps.best.forward.step, 1)}, ${data.steps.best.forward.digits.toFixed(0)} digits.`],
    ["A check asks for a relative error of the whole gradient below 1e-4. Which bugs pass?",
      `${list(hidden)}: they touch few entries, or all of them very little.`],
    ["Which bugs read more of the held-out digits than correct code does? What does that say about them?",
      `${list(beyond.map((bug) => bug.name))}. Nothing: after ${searches} steps nothing has converged, and any change of the path ends elsewhere. ${seen.length} of the ${bugs.length} are caught by the check before training; what the check of this network cannot see, random networks of other shapes can.`],
    ["Which of the bugs trained with here does no other checker raise an alarm about, on the course’s check network?",
      `${list(missedBy)}. Where the cost is wrong in the same way, a checker that is shown one cost with its gradient finds that they fit.`],
    ["Which single switch of part 4 hides the most bugs, and why?",
      `${worstSwitch[0]}: ${worstSwitch[1]} bugs. With all weights zero nothing is carried back through a layer, and the regulariser is zero, too.`],
    ["How near to the kink does the naive check with h = 1e-4 condemn a right ReLU, and what would you do?",
      `From |z| = ${short(Math.max(...kink), 1)} down to the smallest tried, ${short(Math.min(...kink), 1)}: wherever the step reaches across. Take another θ, or a step that stays on one side, or differences that need no step to speak of, and say “inconclusive” at the kink itself.`],
  ];
  byId("exercises").replaceChildren(...exercises.flatMap(([question, answer], i) => [
    element("p", {}, element("strong", {}, `${i + 1}. `), question),
    element("details", {}, element("summary", {}, "Answer"), element("p", {}, answer)),
  ]));

  put("own-code", data.own.code);
  put("own-output", data.own.output);
  byId("made").replaceChildren(...Object.entries(data.made).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));

  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  const here = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) {
      links.forEach((link) => link.removeAttribute("aria-current"));
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  document.querySelectorAll("main > section").forEach((part) => here.observe(part));
  addEventListener("beforeprint", () => document.querySelectorAll("#exercises details").forEach((answer) => { answer.dataset.open = answer.open; answer.open = true; }));
  addEventListener("afterprint", () => document.querySelectorAll("#exercises details").forEach((answer) => { answer.open = answer.dataset.open === "true"; }));
}
