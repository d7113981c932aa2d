// Sorts and filters the tables, chooses their columns, and draws the plots in the page's colours.

const MAX_ROWS = 200; // shown before a click on "Show all", as browsers are slow to lay out more

for (const table of document.querySelectorAll("[data-runs]")) {
  const body = table.tBodies[0];
  const tools = document.querySelector(`[data-tools="${table.id}"]`);
  const filter = tools.querySelector("[data-filter]");
  const all = tools.querySelector("[data-all]");
  const status = tools.querySelector("[role=status]");
  const count = body.rows.length;
  let limit = MAX_ROWS;

  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let fitting = 0;
    for (const row of body.rows) {
      const text = words.length ? row.textContent.toLowerCase() : "";
      const fits = words.every((word) => text.includes(word));
      row.hidden = !fits || fitting >= limit;
      fitting += fits;
    }
    const shown = Math.min(fitting, limit);
    all.hidden = shown === fitting;
    all.textContent = `Show all ${fitting}`;
    status.textContent = shown === count ? `${count} run${count > 1 ? "s" : ""}.` : `${shown} of ${count} runs shown.`;
  };
  filter.addEventListener("input", show);
  all.addEventListener("click", () => {
    limit = Infinity;
    show();
  });

  // Columns are hidden by a style rule, not cell by cell: a table may have 100,000 cells.
  const rules = document.head.appendChild(document.createElement("style"));
  const groups = [...table.tHead.rows[0].cells].map((cell) => ({ cell, width: cell.colSpan }));
  const boxes = [...tools.querySelectorAll("input[type=checkbox]")];
  const choose = () => {
    const hidden = boxes.filter((box) => !box.checked).map((box) => Number(box.value));
    rules.textContent = hidden
      .map((place) => `#${table.id} tr:not(.groups) > :nth-child(${place}) { display: none }`)
      .join("\n");
    let from = 1;
    for (const { cell, width } of groups) {
      const left = width - hidden.filter((place) => place >= from && place < from + width).length;
      cell.hidden = left === 0;
      cell.colSpan = left || width;
      from += width;
    }
  };
  for (const box of boxes) box.addEventListener("input", choose);

  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => {
      const header = button.closest("th");
      const place = [...header.parentElement.children].indexOf(header);
      const numeric = "numeric" in button.dataset;
      // The first click sorts numbers in descending order, rank and text in ascending order.
      const first = numeric && header.cellIndex > 0 ? "descending" : "ascending";
      const current = header.getAttribute("aria-sort");
      const order = current === null ? first : current === "ascending" ? "descending" : "ascending";
      for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", order);

      const sign = order === "ascending" ? 1 : -1;
      const language = new Intl.Collator("en", { numeric: true });
      const value = (row) => {
        const cell = row.children[place];
        if (!numeric) return cell.textContent === "–" ? null : cell.textContent;
        return cell.dataset.value === "" || Number.isNaN(Number(cell.dataset.value)) ? null : Number(cell.dataset.value);
      };
      const rows = [...body.rows].map((row) => [value(row), row]);
      rows.sort(([a], [b]) => {
        // Missing values go last in either order.
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * (numeric ? a - b : language.compare(a, b));
      });
      body.append(...rows.map(([, row]) => row));
      show();
    });
  }
  show();
}

const plots = [...document.querySelectorAll("[data-figure]")];
const darkColours = JSON.parse(document.getElementById("dark-colours").textContent);

// Text and grid take the page's colours, so that a plot is legible in light and dark mode and on paper.
function colours() {
  const style = getComputedStyle(document.documentElement);
  const [ink, grid, card] = ["--ink", "--line", "--card"].map((name) => style.getPropertyValue(name).trim());
  return { ink, grid, card };
}

function painted(layout) {
  const { ink, grid, card } = colours();
  const paint = { ...layout, font: { ...layout.font, color: ink } };
  paint.hoverlabel = { ...layout.hoverlabel, bgcolor: card, bordercolor: grid, font: { color: ink } };
  // Lines must not strike through the labels of parallel coordinates.
  paint.annotations = layout.annotations?.map((annotation) => ({ ...annotation, bgcolor: card, borderpad: 1 }));
  for (const axis of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
    paint[axis] = { ...layout[axis], gridcolor: grid, linecolor: grid, tickcolor: grid };
  }
  return paint;
}

function draw(plot) {
  const dark = matchMedia("screen and (prefers-color-scheme: dark)").matches;
  const recolour = (key, value) => (dark && key.endsWith("color") && darkColours[value]) || value;
  const { data, layout } = JSON.parse(document.getElementById(plot.dataset.figure).textContent, recolour);
  for (const trace of data.filter((trace) => trace.type === "heatmap")) trace.textfont = { color: colours().ink };
  const config = {
    responsive: true,
    displaylogo: false,
    // Without a mouse Plotly would always show its tool bar, over legends and titles.
    displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false,
    modeBarButtonsToRemove: ["select2d", "lasso2d"],
  };
  const width = matchMedia("print").matches ? { width: plot.clientWidth } : {};
  // newPlot, as react would keep the legend's position at another width, and printing does not wait for it.
  Plotly.newPlot(plot, data, { ...painted(layout), ...width }, config);
}

// One at a time, to keep the page responsive.
function drawAll(left = plots) {
  if (left.length === 0) return;
  draw(left[0]);
  setTimeout(drawAll, 0, left.slice(1));
}

drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
matchMedia("print").addEventListener("change", () => plots.forEach(draw));
