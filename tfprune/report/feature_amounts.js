// Families of VGGs: accuracy over the three parameters, and the features of every layer of the net pointed at.
"use strict";
for (const {prefix, rows, layers, plain, plainName, best, worst, measures} of page.data.families) {
  const NARROW = 500;  // pixels
  const element = name => document.getElementById(prefix + name);
  const tallest = 1.12 * Math.max(...plain, ...rows.flatMap(row => row.features));
  const whole = new Intl.NumberFormat("en"), short = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 3});
  const percent = value => value === null ? "not measured" : `${value.toFixed(2)}\u00a0%`;
  const place = row => ({family: `location ${row.location}, scale ${row.scale}, shape ${row.shape}`, plain: plainName,
                         listed: "features as listed"})[row.kind];

  let pointed = best, measure = Object.keys(measures).find(name => rows.some(row => row[name] !== null));

  const hover = row => [`<b>ID${row.experiment_id}</b>`, place(row), `test ${percent(row.test)}`, `validation ${percent(row.val)}`,
                        `training ${percent(row.train)}`, `${whole.format(row.trainable)} parameters`,
                        `${short.format(row.macs)} multiply-adds`].join("<br>");

  // The runs of a kind as points; `marker`: their size and symbol.
  function points(kind, marker) {
    const shown = rows.map((row, index) => ({...row, index})).filter(row => row.kind === kind);
    const coloured = {color: shown.map(row => row[measure]), coloraxis: "coloraxis", line: {color: page.colour("faint"), width: 1}};
    return {type: "scatter3d", mode: "markers", name: kind, x: shown.map(row => row.location), y: shown.map(row => row.scale),
            z: shown.map(row => row.shape), customdata: shown.map(row => row.index), text: shown.map(hover), hoverinfo: "text",
            marker: {...coloured, ...marker}};
  }

  // A range that holds the values and some room, so that no point is cut at the edge.
  function padded(values) {
    const lowest = Math.min(...values), highest = Math.max(...values), room = .06 * (highest - lowest) || 1;
    return [lowest - room, highest + room];
  }

  function space() {
    const narrow = element("space").clientWidth < NARROW;
    const size = (rows.length > 60 ? 5 : 7) - narrow, far = narrow ? 1.2 : 1;  // nearer, the titles of the axes would be cut
    const named = {mode: "markers+text", texttemplate: plainName, textposition: "top center"};
    const traces = [points("family", {size}), {...points("plain", {size: size + 3, symbol: "diamond"}), ...named},
                    points("listed", {size, symbol: "square"})].filter(trace => trace.x.length);
    const axis = (title, name) => page.axis({title: {text: title}, range: padded(rows.map(row => row[name])), showbackground: true,
                                             backgroundcolor: page.colour("fill")});
    const scene = {xaxis: axis("location [layers]", "location"), yaxis: axis("scale [layers]", "scale"), zaxis: axis("shape", "shape"),
                   camera: {eye: {x: 1.45 * far, y: -1.6 * far, z: .75 * far}, center: {x: 0, y: 0, z: -.06}}, aspectmode: "cube"};
    const bar = {title: {text: measures[measure], side: "top"}, orientation: "h", y: -.02, yanchor: "top", thickness: 14, len: .9};
    return {traces, layout: {scene, margin: {l: 0, r: 0, t: 0, b: 70}, showlegend: false,
                             coloraxis: {colorscale: "Viridis", colorbar: bar}}};
  }

  // The features of each layer of rows[index()], and the plain VGG's as an outline.
  const profile = index => () => {
    const row = rows[index()], places = layers.map((_, layer) => layer + 1);
    const bars = {type: "bar", name: `ID${row.experiment_id}`, x: places, y: row.features, customdata: layers,
                  marker: {color: page.colour("bar")}, hovertemplate: "layer %{customdata}: %{y} features<extra></extra>"};
    // Each number stands on paper, so that no line strikes it out.
    const number = {showarrow: false, yanchor: "bottom", bgcolor: page.colour("paper"), borderpad: 2, font: {size: 12}};
    const annotations = layers.length > 9 ? [] : row.features.map((count, layer) => ({...number, x: layer + 1, y: count, text: `${count}`}));
    const outline = {type: "scatter", mode: "lines", name: plainName, x: [...places, layers.length + 1].map(place => place - .5),
                     y: [...plain, plain.at(-1)], line: {shape: "hv", color: page.colour("outline"), width: 2}, hoverinfo: "skip"};
    const xaxis = {title: {text: "layer"}, tickangle: 0, tickvals: places, ticktext: layers, range: [.4, layers.length + .6],
                   fixedrange: true};
    const legend = {orientation: "h", x: 1, xanchor: "right", y: 1.02, yanchor: "bottom"};
    return {traces: [bars, outline], layout: {legend, annotations, bargap: .15, margin: {l: 52, r: 8, t: 8, b: 44}, xaxis: page.axis(xaxis),
                                              yaxis: page.axis({title: {text: "features"}, range: [0, tallest], fixedrange: true})}};
  };

  function heading(name, prefix, row) {
    const title = document.createElement("strong");
    title.textContent = `${prefix}ID${row.experiment_id}: ${place(row)}`;
    element(`${name}-heading`).replaceChildren(title, `\ntest ${percent(row.test)}, ` +
      `${whole.format(row.trainable)} parameters, ${short.format(row.macs)} multiply-adds`);
  }

  let chart, beside;  // once they are drawn
  page.drawWith(["space", "profile", "best", "worst"].map(name => prefix + name), () => {
    chart = page.chart(`${prefix}space`, space, ["zoom3d", "pan3d", "tableRotation", "resetCameraDefault3d"]);
    beside = page.chart(`${prefix}profile`, profile(() => pointed));
    page.chart(`${prefix}best`, profile(() => best));
    page.chart(`${prefix}worst`, profile(() => worst));
    chart.element.on("plotly_hover", point);
    chart.element.on("plotly_click", point);  // a tap
  });
  heading("profile", "", rows[pointed]);
  heading("best", "Best: ", rows[best]);
  heading("worst", "Worst: ", rows[worst]);

  function point(event) {
    pointed = event.points[0].customdata;
    heading("profile", "", rows[pointed]);
    beside.draw();
  }

  const choice = element("measure");
  for (const input of choice.elements[`${prefix}measure`]) {
    input.disabled = rows.every(row => row[input.value] === null);
    input.checked = input.value === measure;
  }
  choice.addEventListener("change", event => {
    measure = event.target.value;
    chart?.draw();
  });
}
