// Filters sentences by kind of error, by better run and by text.
for (const viewer of document.querySelectorAll("[data-viewer]")) {
  const articles = [...viewer.querySelectorAll("article")];
  const search = viewer.querySelector("[data-search]");
  const better = viewer.querySelector("[data-better]");
  const show = () => {
    const kind = viewer.querySelector("input[type=radio]:checked").value;
    const words = search.value.toLowerCase().trim();
    for (const article of articles) {
      const fits = !kind || article.dataset.kinds.split("|").includes(kind);
      const wins = !better?.value || article.dataset.better === better.value;
      article.hidden = !(fits && wins && article.textContent.toLowerCase().includes(words));
    }
    const shown = articles.filter((article) => !article.hidden).length;
    viewer.querySelector("[role=status]").textContent = `${shown} shown.`;
  };
  for (const control of viewer.querySelectorAll("input, select")) control.addEventListener("input", show);
}

// MLflow shows a page in a frame whose links to places in the page lead nowhere.
if (window.self !== window.top) {
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      document.getElementById(link.getAttribute("href").slice(1))?.scrollIntoView();
    });
  }
}
