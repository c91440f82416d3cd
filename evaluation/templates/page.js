"use strict";
const root = document.documentElement;
const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();

/* ---- figures: the page owns fonts, backgrounds and grid colours, so that they follow light and dark ---- */
function axisStyle(axis) {
  const line = css("--line");
  return Object.assign({ gridcolor: line, linecolor: css("--line-strong"), zerolinecolor: css("--line-strong"), automargin: true,
    tickfont: { size: 12 } }, axis, axis.title ? { title: Object.assign({ font: { size: 13 } }, axis.title) } : {});
}
function drawFigure(area) {
  const spec = JSON.parse(document.getElementById(area.dataset.spec).textContent);
  const layout = Object.assign({ margin: { l: 52, r: 16, t: 12, b: 44 }, colorway: SERIES, showlegend: false, bargap: 0.08 }, spec.layout);
  layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
  layout.font = { family: css("--sans"), color: css("--ink-soft"), size: 13 };
  layout.hoverlabel = { bgcolor: css("--surface"), bordercolor: css("--line-strong"), font: { color: css("--ink") } };
  for (const key of Object.keys(layout)) if (/^[xy]axis\d*$/.test(key)) layout[key] = axisStyle(layout[key]);
  for (const key of ["xaxis", "yaxis"]) if (!(key in layout)) layout[key] = axisStyle({});
  Plotly.react(area, spec.data, layout, { displaylogo: false, responsive: true, displayModeBar: false });
}
const figures = [...document.querySelectorAll(".plot-area")], drawn = new Set();
function redrawFigures() { drawn.forEach(drawFigure); }
function setUpFigures() { // each when it comes near: a page of twenty takes seconds otherwise
  if (typeof Plotly === "undefined") return;
  const draw = (area) => { if (!drawn.has(area)) { drawn.add(area); drawFigure(area); } };
  const near = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (entry.isIntersecting) { near.unobserve(entry.target); draw(entry.target); }
  }), { rootMargin: "1200px" });
  figures.forEach((area) => near.observe(area));
  addEventListener("beforeprint", () => figures.forEach(draw));
}

/* ---- tables: sort on header click, filter, pages ---- */
function compare(a, b, sign) {
  if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1; // missing values last, whichever way
  const x = Number(a), y = Number(b);
  return sign * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y);
}
function setUpTable(card) {
  const body = card.querySelector("tbody"), search = card.querySelector("input[type=search]"), pager = card.querySelector(".pager");
  const size = Number(card.dataset.pageRows), headers = [...card.querySelectorAll("thead th")];
  const later = card.querySelector("template");
  let rows = [...body.rows, ...(later ? later.content.children : [])], page = 0;
  function show() {
    const words = (search ? search.value : "").toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.filter((row) => { const text = row.textContent.toLowerCase(); return words.every((w) => text.includes(w)); });
    const pages = Math.max(1, Math.ceil(found.length / size));
    page = Math.min(page, pages - 1);
    body.replaceChildren(...found.slice(page * size, (page + 1) * size));
    pager.hidden = pages === 1;
    pager.querySelector("span").textContent = `${found.length ? page * size + 1 : 0}–${Math.min(found.length, (page + 1) * size)} of ${found.length}`;
    pager.querySelector("[data-step='-1']").disabled = page === 0;
    pager.querySelector("[data-step='1']").disabled = page === pages - 1;
  }
  headers.forEach((header, index) => header.querySelector("button").addEventListener("click", () => {
    const down = header.getAttribute("aria-sort") === "ascending";
    headers.forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    rows.sort((a, b) => compare(a.cells[index].dataset.sort, b.cells[index].dataset.sort, down ? -1 : 1));
    page = 0; show();
  }));
  if (search) search.addEventListener("input", () => { page = 0; show(); });
  pager.querySelectorAll("button").forEach((button) => button.addEventListener("click", () => { page += Number(button.dataset.step); show(); }));
  show();
}

/* ---- navigation and theme ---- */
function setUpNavigation() {
  const links = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.getAttribute("href").slice(1), a]));
  const mark = () => {
    let here = null;
    for (const id of links.keys()) if (document.getElementById(id).getBoundingClientRect().top < innerHeight / 3) here = id;
    links.forEach((link, id) => link.classList.toggle("here", id === (here ?? links.keys().next().value)));
  };
  addEventListener("scroll", mark, { passive: true });
  mark();
}
document.querySelector(".theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  redrawFigures();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawFigures);
document.querySelectorAll(".table-card").forEach(setUpTable);
setUpNavigation();
setUpFigures();
root.dataset.ready = "true";
