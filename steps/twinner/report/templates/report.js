// Sorting of the tables, and the figures in the page's colours.

for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const header = button.closest("th");
    const place = [...header.parentElement.children].indexOf(header);
    const numeric = "numeric" in button.dataset;
    // Scores are best first at the first click, all else starts small; the second click turns it round.
    const first = numeric && header.cellIndex > 0 ? "descending" : "ascending";
    const current = header.getAttribute("aria-sort");
    const order = current === null ? first : current === "ascending" ? "descending" : "ascending";
    for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);

    const body = header.closest("table").tBodies[0];
    const value = (row) => row.children[place].dataset.value;
    const compare = (a, b) => (numeric ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true }));
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].sort((left, right) => {
      const [a, b] = [value(left), value(right)];
      // No value, or none that is a number, goes last whatever the order.
      const [noA, noB] = [a, b].map((text) => text === "" || (numeric && Number.isNaN(Number(text))));
      return noA || noB ? noA - noB : sign * compare(a, b);
    });
    body.append(...rows);
  });
}

const plots = [...document.querySelectorAll("[data-figure]")];

// The colours of ink and grid are the page's own, so that a figure is legible in light, in dark and on paper.
function colours() {
  const style = getComputedStyle(document.documentElement);
  const [ink, grid, card] = ["--ink", "--line", "--card"].map((name) => style.getPropertyValue(name).trim());
  return { ink, grid, card };
}

function painted(layout) {
  const { ink, grid, card } = colours();
  const paint = { ...layout, font: { ...layout.font, color: ink } };
  paint.hoverlabel = { ...layout.hoverlabel, bgcolor: card, bordercolor: grid, font: { color: ink } };
  for (const axis of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
    paint[axis] = { ...layout[axis], gridcolor: grid, linecolor: grid, tickcolor: grid };
  }
  return paint;
}

function draw() {
  for (const plot of plots) {
    const { data, layout } = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
    const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
    Plotly.react(plot, data, painted(layout), config);
  }
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
matchMedia("print").addEventListener("change", draw);
