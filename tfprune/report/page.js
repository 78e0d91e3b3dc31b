// What every page has: its data, charts in the colours of the theme (drawn again when that changes), and tables that sort.
"use strict";
const page = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawn = [];

  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  const axis = more => ({gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), ...more});

  // Draws what `make()` gives, {traces, layout}, into the chart `name`; returns a function that draws it again, and the element.
  // `buttons`: Plotly's names of those that it gets; none that would send the chart away.
  function chart(name, make, buttons = ["toImage"]) {
    const element = document.getElementById(name);
    const draw = () => {
      const {traces, layout} = make();
      const theme = {paper_bgcolor: "transparent", plot_bgcolor: "transparent", uirevision: name,
                     modebar: {bgcolor: "transparent", color: colour("faint"), activecolor: colour("ink")},
                     font: {color: colour("ink"), family: "system-ui, 'DejaVu Sans', sans-serif"},
                     hoverlabel: {bgcolor: colour("fill"), bordercolor: colour("faint"), font: {color: colour("ink")}, align: "left"}};
      Plotly.react(element, traces, {...theme, ...layout}, {displaylogo: false, responsive: true, modeBarButtons: [buttons]});
    };
    draw();
    drawn.push(draw);
    return {draw, element};
  }

  function sort(heading) {
    const column = heading.cellIndex, body = heading.closest("table").tBodies[0];
    const sign = heading.ariaSort === "descending" ? 1 : -1;  // the largest first, as a rule
    for (const other of heading.parentNode.cells) other.ariaSort = null;
    heading.ariaSort = sign > 0 ? "ascending" : "descending";
    const key = row => row.cells[column].dataset.key === undefined ? row.cells[column].textContent : Number(row.cells[column].dataset.key);
    const order = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    body.append(...[...body.rows].sort((a, b) => sign * order(key(a), key(b))));
  }

  for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => sort(button.parentNode));
  dark.addEventListener("change", () => drawn.forEach(draw => draw()));
  return {data, chart, colour, axis};
})();
