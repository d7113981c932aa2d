// Shows the sentences that have an error of the chosen kind.
const articles = [...document.querySelectorAll("article")];
for (const radio of document.querySelectorAll("input[name=kind]")) {
  radio.addEventListener("change", () => {
    for (const article of articles) {
      article.hidden = radio.value !== "" && !article.dataset.kinds.split("|").includes(radio.value);
    }
    const shown = articles.filter((article) => !article.hidden).length;
    document.getElementById("count").textContent = `${shown} shown.`;
  });
}
