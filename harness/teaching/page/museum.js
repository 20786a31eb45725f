// The museum: a derivative that was shipped wrong beside the right one. The reader guesses, and then is told.
{
  const exhibits = data.museum;
  const chosen = () => exhibits[Number(byId("museum-which").value)];
  const dashedIsWrong = (exhibit) => exhibit.name.length % 2 === 0; // the same each time that the page is opened
  const SAYS = { alarm: "alarm", pass: "passes it", inconclusive: "cannot tell" };
  let told = false;

  // A curve in pieces: it has a gap where a derivative is not a number.
  function draw(plot, x, curve, stroke, looks) {
    let piece = [];
    for (const [k, at] of [...x, NaN].entries()) {
      if (typeof curve[k] === "number") piece.push([at, curve[k]]);
      else { if (piece.length) plot.curve(piece, stroke, looks); piece = []; }
    }
  }

  const slopes = figure("museum-slopes", (host, width) => {
    const exhibit = chosen(), { x, right, shipped } = exhibit;
    const [solid, dashed] = dashedIsWrong(exhibit) ? [right, shipped] : [shipped, right];
    const all = [...right, ...shipped].filter((y) => y !== null), low = Math.min(...all), high = Math.max(...all);
    const y = high > low ? [low, high] : [low - 1, high + 1], across = [x[0], x.at(-1)];
    const says = `Two derivatives of ${exhibit.name} from ${short(x[0])} to ${short(x.at(-1))}. They differ most at ${short(exhibit.at)}.`;
    const plot = new Plot(host, width, { height: 260, x: across, y, xlabel: "x", ylabel: "derivative", says, xticks: ticks(...across, 5), yticks: ticks(...y, 4), left: 52 });
    draw(plot, x, solid, "var(--blue)");
    draw(plot, x, dashed, "var(--orange)", { dash: "7 4" });
    const here = x.indexOf(exhibit.at);
    if (solid[here] !== null) plot.dot(exhibit.at, solid[here], "var(--blue)");
    if (dashed[here] !== null) plot.dot(exhibit.at, dashed[here], "var(--orange)", { hollow: true });
    const name = (curve) => (told ? (curve === right ? "right" : "as it was shipped") : curve === solid ? "solid" : "dashed");
    legend(host, [[name(solid), "var(--blue)"], [name(dashed), "var(--orange)", "7 4"]]);
  });

  const error = figure("museum-error", (host, width) => {
    const { name, at, x, right, shipped } = chosen();
    const logs = x.map((_, k) => (shipped[k] === null ? NaN : Math.log10(Math.abs(right[k] - shipped[k]))));
    const finite = logs.filter(Number.isFinite), across = [x[0], x.at(-1)];
    const y = [Math.min(-2, Math.floor(Math.min(0, ...finite))), Math.max(1, Math.ceil(Math.max(-1, ...finite)))];
    const says = `How far apart the two are, on a logarithmic scale: at most ${finite.length ? power(Math.ceil(Math.max(...finite))) : "not a number"}, in ${name}.`;
    const plot = new Plot(host, width, { height: 260, x: across, y, xlabel: "x", ylabel: "how far apart, logarithmic", says, xticks: ticks(...across, 5), yticks: ticks(...y, 4), yname: power, left: 60 });
    for (const [k, log] of logs.entries()) if (Number.isFinite(log)) plot.dot(x[k], log, "var(--purple)", { r: x[k] === at ? 5 : 2.5 });
    legend(host, [["|solid − dashed|", "var(--purple)", "2 3"]]);
  });

  function show() {
    told = false;
    byId("museum-answer").replaceChildren();
    byId("museum-told").hidden = true;
    slopes();
    error();
  }
  function tell(guessedDashed) {
    const exhibit = chosen(), wasRight = guessedDashed === dashedIsWrong(exhibit), others = Object.entries(exhibit.others);
    const first = guessedDashed === undefined ? "" : wasRight ? "Yes. " : "No. "; // on paper nobody has guessed
    const size = exhibit.error === null ? "not a number where the right one is finite" : `off by ${short(exhibit.error, 2)} times the largest derivative at the marked point`;
    const missed = others.filter(([, says]) => says !== "alarm").length;
    const mended = exhibit.mended ? ` It was mended in ${exhibit.mended}.` : "";
    told = true;
    slopes();
    byId("museum-answer").replaceChildren(
      element("p", {}, element("strong", {}, `${first}The ${dashedIsWrong(exhibit) ? "dashed" : "solid"} curve was shipped, by ${exhibit.project} ${exhibit.version}.`), ` ${exhibit.mistake} It is ${size}.${mended}`),
      element("p", { class: "note" }, `Right: ${exhibit.formula}. Shipped in ${exhibit.place}.`),
      ...(others.length ? [element("p", {}, missed ? `${missed} of ${others.length} other checkers do not notice it there.` : "Every other checker notices it there.")] : []),
    );
    const rows = [[`harness, in ${Math.max(1, Math.round(1e3 * exhibit.seconds))} ms`, exhibit.verdict], ...others.map(([name, says]) => [name, SAYS[says]])];
    byId("museum-checkers").replaceChildren(...rows.flatMap(([name, says]) => [element("dt", {}, name), element("dd", { class: says === "passes it" ? "inconclusive" : "" }, says)]));
    put("museum-report", exhibit.report);
    byId("museum-told").hidden = false;
  }
  options("museum-which", exhibits.map(({ name, project }) => `${name} (${project})`), 0);
  byId("museum-which").addEventListener("input", show);
  byId("museum-dashed").addEventListener("click", () => tell(true));
  byId("museum-solid").addEventListener("click", () => tell(false));
  addEventListener("beforeprint", () => { if (!told) tell(); });
  show();
}
