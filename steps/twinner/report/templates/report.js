// The tables: sorting, filtering and the choice of columns. The figures, in the page's colours.

const AT_FIRST = 200; // rows that a long table shows before it is asked for all: a browser lays out no more at once

for (const table of document.querySelectorAll("[data-runs]")) {
  const body = table.tBodies[0];
  const tools = document.querySelector(`[data-tools="${table.id}"]`);
  const filter = tools.querySelector("[data-filter]");
  const all = tools.querySelector("[data-all]");
  const status = tools.querySelector("[role=status]");
  const count = body.rows.length;
  let most = AT_FIRST;

  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let fitting = 0;
    for (const row of body.rows) {
      const text = words.length ? row.textContent.toLowerCase() : "";
      const fits = words.every((word) => text.includes(word));
      row.hidden = !fits || fitting >= most;
      fitting += fits;
    }
    const shown = Math.min(fitting, most);
    all.hidden = shown === fitting;
    all.textContent = `Show all ${fitting}`;
    status.textContent = shown === count ? `${count} run${count > 1 ? "s" : ""}.` : `${shown} of ${count} runs shown.`;
  };
  filter.addEventListener("input", show);
  all.addEventListener("click", () => {
    most = Infinity;
    show();
  });

  // A hidden column is hidden by a rule, not cell by cell: a table may have a hundred thousand cells.
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
      // Scores are best first at the first click, all else starts small; the second click turns it round.
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
        // No value, or none that is a number, goes last whatever the order.
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

// Lighter kin of picture.py's colours, which on a dark page would be too dim.
const ON_DARK = { "#0072B2": "#45a5e0", "#D55E00": "#ff8a3c", "#009E73": "#2fc398", "#B0578D": "#e08cc0" };

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

function draw(plot) {
  let figure = document.getElementById(plot.dataset.figure).textContent;
  if (matchMedia("screen and (prefers-color-scheme: dark)").matches) {
    for (const [colour, lighter] of Object.entries(ON_DARK)) figure = figure.replaceAll(`"${colour}"`, `"${lighter}"`);
  }
  const { data, layout } = JSON.parse(figure);
  for (const trace of data.filter((trace) => trace.type === "heatmap")) trace.textfont = { color: colours().ink };
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
  const width = matchMedia("print").matches ? { width: plot.clientWidth } : {};
  // Anew: drawn over an old figure, one of another width would keep its legend's place, and no printer waits.
  Plotly.newPlot(plot, data, { ...painted(layout), ...width }, config);
}

// One at a time, so that the page can be read and used meanwhile.
function drawAll(left = plots) {
  if (left.length === 0) return;
  draw(left[0]);
  setTimeout(drawAll, 0, left.slice(1));
}

drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
matchMedia("print").addEventListener("change", () => plots.forEach(draw));
