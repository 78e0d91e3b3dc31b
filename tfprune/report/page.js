// What every page has: its data, charts in the colours of the theme (drawn again when that changes), tables that sort, and downloads.
"use strict";
const page = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)"), touched = matchMedia("(pointer: coarse)");
  const drawn = {};  // {name: a chart's functions `draw`, which draws it again, and `figure`, which says what it is in the theme}
  const drawers = {};  // {name: draws the chart for the first time}, of charts of other scripts

  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  const axis = more => ({gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), ...more});

  // Plotly, which is text until the first chart is drawn: it takes a second, and tables need not wait for it.
  function plotly() {
    if (!window.Plotly) {
      const script = document.createElement("script");
      script.textContent = document.getElementById("plotly").textContent;
      document.head.append(script);
    }
    return window.Plotly;
  }

  // Draws what `make()` gives, {traces, layout, frames}, into the chart `name`; returns a function that draws it again, and the element.
  // A slider stays where it is. `buttons`: Plotly's names of those that it gets; none that would send the chart away, or save it in the
  // colours of the screen.
  function chart(name, make, buttons = []) {
    const element = document.getElementById(name);
    const figure = () => {
      const {traces, layout, frames} = atStep(make(), element.layout?.sliders?.[0].active);
      const theme = {paper_bgcolor: colour("paper"), plot_bgcolor: colour("paper"), uirevision: name,
                     modebar: {bgcolor: "transparent", color: colour("faint"), activecolor: colour("ink")},
                     font: {color: colour("ink"), family: "system-ui, 'DejaVu Sans', sans-serif"},
                     hoverlabel: {bgcolor: colour("fill"), bordercolor: colour("faint"), font: {color: colour("ink")}, align: "left"}};
      const config = {displaylogo: false, responsive: true, displayModeBar: buttons.length > 0 && "hover", modeBarButtons: [buttons]};
      return {data: traces, layout: {...theme, ...layout}, frames, config};
    };
    const draw = () => plotly().react(element, figure());
    draw();
    drawn[name] = {draw, figure};
    return {draw, element};
  }

  // A figure with its slider at one of its steps, and the traces of that step's frame; as it is where there is none.
  function atStep({traces, layout, frames}, place) {
    const slider = layout.sliders?.[0], frame = slider && frames.find(({name}) => name === slider.steps[place]?.args[0][0]);
    if (!frame) return {traces, layout, frames};
    const moved = traces.map((trace, number) => ({...trace, ...frame.data[frame.traces?.indexOf(number) ?? number]}));
    return {traces: moved, layout: {...layout, sliders: [{...slider, active: place}]}, frames};
  }

  // A copy in which "$0", "$ink", "$0/20" (20 % opaque) and the like are colours of the theme.
  function themed(value) {
    if (Array.isArray(value)) return value.map(themed);
    if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, themed(part)]));
    const token = typeof value === "string" && /^\$([0-6]|ink|faint|line|fill|paper)(?:\/(\d+))?$/.exec(value);
    if (!token) return value;
    const opacity = token[2] === undefined ? "" : Math.round(2.55 * token[2]).toString(16).padStart(2, "0");
    return colour(token[1]) + opacity;
  }

  // Axes in the page's colours, wherever the layout has some or Plotly makes them of its own accord.
  function withAxes(layout, traces) {
    const flat = traces.some(trace => !/3d|surface/.test(trace.type ?? "") && !["pie", "sankey", "parcoords", "table"].includes(trace.type));
    const named = flat ? {xaxis: {}, yaxis: {}, ...layout} : {...layout};
    for (const [key, part] of Object.entries(named)) {
      if (/^[xy]axis\d*$/.test(key)) named[key] = axis({automargin: true, ...part});
      if (/^scene\d*$/.test(key)) named[key] = {...part, ...Object.fromEntries(["xaxis", "yaxis", "zaxis"].map(one => [one, axis(part[one])]))};
    }
    return named;
  }

  // What a chart of `data.charts` is drawn from, in the theme.
  function figure(name) {
    const {traces, layout, frames} = themed(data.charts[name]);
    const more = {sliders: layout.sliders?.map(slider => ({bordercolor: colour("faint"), bgcolor: colour("line"), activebgcolor: colour("0"),
                                                           tickcolor: colour("faint"), ...slider})),
                  legend: {orientation: "h", x: 0, y: 1.02, yanchor: "bottom", ...layout.legend},
                  margin: {l: 60, r: 12, t: 12, b: 52, ...layout.margin}};
    return {traces, frames, layout: {dragmode: touched.matches ? false : "zoom", ...withAxes(layout, traces), ...more}};
  }

  function drawOnce(name) {
    if (drawn[name]) return;
    if (drawers[name]) return drawers[name]();
    const element = document.getElementById(name), layout = data.charts[name].layout;
    const deep = Object.keys(layout).some(key => key.startsWith("scene"));
    chart(name, () => figure(name), deep ? ["zoom3d", "pan3d", "tableRotation", "resetCameraDefault3d"] : ["zoom2d", "pan2d", "autoScale2d"]);
    if (layout.sliders) withKeys(element);
  }

  // Has these charts drawn by a function of a script of its own, which draws all of them, once the first is near.
  const drawWith = (names, begin) => names.forEach(name => drawers[name] = begin);

  // The arrow keys move the slider of a chart.
  function withKeys(element) {
    element.tabIndex = 0;
    element.addEventListener("keydown", event => {
      const step = {ArrowLeft: -1, ArrowRight: 1}[event.key], slider = element.layout.sliders[0];
      const next = (slider.active ?? 0) + step;
      if (!step || !slider.steps[next]) return;
      event.preventDefault();
      slide(element, next);
    });
  }

  // Moves the slider of a chart to one of its steps.
  function slide(element, place) {
    Plotly.relayout(element, {"sliders[0].active": place});
    Plotly.animate(element, ...element.layout.sliders[0].steps[place].args).catch(() => {});  // overtaken by the next move
  }

  const values = column => Array.isArray(column) ? column : column.codes.map(code => code < 0 ? null : column.names[code]);

  // A cell of CSV; a text that a spreadsheet would take for a formula begins with an apostrophe.
  function cell(value) {
    const text = value === null ? "" : typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function csv(table) {
    const columns = Object.values(table).map(values);
    const rows = (columns[0] ?? []).map((_, row) => columns.map(column => column[row]));
    return [Object.keys(table), ...rows].map(row => row.map(cell).join(",") + "\n").join("");
  }

  function save(name, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type: "text/csv"}));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  // A figure from the side and with the axes and curves that the reader has chosen in its chart.
  function asSeen(element, {data: traces, layout, config}) {
    const seen = Object.entries(layout).map(([key, part]) => {
      const now = element.layout[key];
      if (/^[xy]axis\d*$/.test(key)) return [key, {...part, range: now.range, autorange: false}];
      return [key, /^scene\d*$/.test(key) ? {...part, camera: now.camera ?? part.camera} : part];
    });
    const shown = traces.map((trace, number) => ({...trace, visible: element.data[number].visible}));
    return {data: shown, layout: Object.fromEntries(seen), config};
  }

  // Pictures are light, whatever the screen: they are for paper.
  function download({chart: name, format}) {
    if (format === "csv") return save(`${name}.csv`, csv(data.charts[name].table));
    drawOnce(name);
    const element = document.getElementById(name), {clientWidth: width, clientHeight: height} = element;
    document.documentElement.classList.add("light");  // and off again before anybody sees it
    const light = asSeen(element, drawn[name].figure());
    document.documentElement.classList.remove("light");
    return Plotly.downloadImage(light, {format, filename: name, width, height, scale: format === "png" ? 3 : 1});
  }

  // Numbers as numbers, other cells as text; undefined for a dash, which no order has but the last place.
  function key(cell) {
    if (cell.dataset.key !== undefined) return Number(cell.dataset.key);
    return cell.textContent === "–" ? undefined : cell.textContent;
  }

  const collator = new Intl.Collator("en", {numeric: true});

  function sort(heading) {
    const column = heading.cellIndex, body = heading.closest("table").tBodies[0];
    const sign = heading.ariaSort === "descending" ? 1 : -1;  // the largest first, as a rule
    for (const other of heading.parentNode.cells) other.ariaSort = null;
    heading.ariaSort = sign > 0 ? "ascending" : "descending";
    const order = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b);
    const keyed = [...body.rows].map(row => [key(row.cells[column]), row]);
    const last = keyed.filter(([a]) => a === undefined), first = keyed.filter(([a]) => a !== undefined);
    first.sort(([a], [b]) => sign * order(a, b));
    body.append(...[...first, ...last].map(([, row]) => row));
  }

  // Shows those rows of a form's table that have its choices in their columns, numbers from its bounds on, and its text somewhere.
  function filter(form) {
    const table = document.getElementById(form.dataset.table), rows = [...table.tBodies[0].rows];
    const chosen = [...form.querySelectorAll("select")].filter(select => select.value).map(select => [select.dataset.column, select.value]);
    const bounds = [...form.querySelectorAll("[type=number]")].filter(input => input.value).map(input => [input.dataset.column, Number(input.value)]);
    const text = form.querySelector("[type=search]").value.trim().toLowerCase();
    for (const row of rows) {
      row.hidden = chosen.some(([column, value]) => row.cells[column].textContent !== value) ||
        bounds.some(([column, least]) => !(Number(row.cells[column].dataset.key) >= least)) ||
        (text !== "" && !row.textContent.toLowerCase().includes(text));
    }
    form.querySelector("output").textContent = `${rows.filter(row => !row.hidden).length} of ${rows.length}`;
  }

  document.addEventListener("click", ({target}) => {
    if (target.matches("th button")) sort(target.parentNode);
    if (target.matches("[data-chart]")) download(target.dataset);
  });
  for (const details of document.querySelectorAll("details")) {
    details.addEventListener("toggle", () => details.querySelectorAll("template").forEach(part => part.replaceWith(part.content)));
  }
  for (const form of document.querySelectorAll("form.filter")) {
    form.addEventListener("input", () => filter(form));
    form.addEventListener("submit", event => event.preventDefault());
    filter(form);  // a browser that goes back keeps what was chosen
  }
  const names = Object.keys(data.charts ?? {});
  const near = new IntersectionObserver(entries => entries.filter(entry => entry.isIntersecting).forEach(({target}) => {
    near.unobserve(target);
    drawOnce(target.id);
  }), {rootMargin: "600px"});
  addEventListener("load", () => requestIdleCallback(() => names.forEach(name => near.observe(document.getElementById(name)))));
  addEventListener("beforeprint", () => names.forEach(drawOnce));
  dark.addEventListener("change", () => Object.values(drawn).forEach(({draw}) => draw()));
  return {data, chart, drawWith, colour, axis};
})();
