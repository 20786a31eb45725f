// Part 4: detection power by place of the bug and checker, and problems on which bugs cannot show.
const shareCell = (count, total, bad) => {
  const cell = element("td");
  if (!total) { cell.textContent = "–"; cell.title = "no such bug here"; return cell; }
  const share = count / total, t = bad ? share : 1 - share;
  cell.textContent = share === 1 ? "100" : share === 0 ? "0" : String(Math.min(99, Math.max(1, Math.round(100 * share))));
  cell.title = `${count} of ${total}`;
  cell.style.background = `color-mix(in srgb, var(--hot) ${Math.round(62 * t)}%, ${bad ? "var(--shade)" : `color-mix(in srgb, var(--blue) ${Math.round(24 * (1 - t))}%, var(--card))`})`;
  return cell;
};
function matrix(host, caption, columns, rows) {
  const head = document.createElement("tr");
  head.append(element("th", { scope: "col" }, "checker"), ...columns.map((name) => element("th", { scope: "col" }, element("span", {}, name))));
  const body = rows.map(([name, cells]) => {
    const row = element("tr", {}, element("th", { scope: "row" }, name), ...cells);
    row.firstChild.title = data.detection.rules[name] ?? "";
    return row;
  });
  host.replaceChildren(element("table", { class: "matrix" }, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...body)));
}
{
  const power = data.detection, kinds = Object.keys(power.problems), places = Object.keys(power.places), checkers = Object.keys(power.rules);
  const share = (kind, checker) => {
    const counts = Object.values(power.caught[kind][checker]);
    return [counts.reduce((sum, [count]) => sum + count, 0), counts.reduce((sum, [, total]) => sum + total, 0)];
  };
  function show() {
    const kind = kinds[chosenIn("power-kinds")[0]];
    matrix(byId("power-table"), `Bugs caught on “${kind}” problems, percent`, places.map((place) => `${place} (${power.places[place].length})`),
      checkers.map((name) => [name, places.map((place) => shareCell(...power.caught[kind][name][place], false))]));
    const [ours, total] = share(kind, "harness");
    const others = checkers.filter((name) => name !== "harness").map((name) => [name, share(kind, name)[0]]).sort((a, b) => b[1] - a[1]);
    put("power-said", `${total.toLocaleString("en")} times a bug was there to be seen. This harness caught ${ours.toLocaleString("en")}` + (others.length ? `, the next best (${others[0][0]}) ${others[0][1].toLocaleString("en")}, the last (${others.at(-1)[0]}) ${others.at(-1)[1].toLocaleString("en")}.` : "."));
  }
  choices("power-kinds", "radio", kinds, [0], show);
  show();

  const blind = data.blind, names = data.all_bugs;
  function switched() {
    const on = chosenIn("blind-switches"), key = blind.switches.map((_, i) => (on.includes(i) ? "1" : "0")).join("");
    const unseen = new Set(blind.unseen[key]);
    put("blind-said", unseen.size ? `${unseen.size} of ${names.length} bugs cannot be seen by any checker on this problem.` : `All ${names.length} bugs can be seen on this problem.`);
    byId("blind-bugs").replaceChildren(...blind.unseen[key].map((name) => element("li", { class: "hidden" }, name)));
    byId("seen-bugs").replaceChildren(...names.filter((name) => !unseen.has(name)).map((name) => element("li", {}, name)));
    put("seen-said", `The ${names.length - unseen.size} bugs that can be seen`);
  }
  choices("blind-switches", "checkbox", blind.switches, [], switched);
  switched();
}
