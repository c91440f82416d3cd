/* The what-if panel. Data come from pipelines/audit/whatif.py, which explains grids, codes and positions:
   a value's code is the number of grid points it is beyond (255: not measured); a maximum at position p rejects codes > p,
   a minimum codes < p. So each position is judged exactly as the filter judges the grid's number. */
(() => {
  const NOT_MEASURED = 255, BARS = 48, HOUR_S = 3600, NORMAL_95 = 1.96;
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("whatif-data").textContent), coded = JSON.parse(byId("whatif-ids").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const n = data.embedded, isWhole = n === data.total;
  const codes = bytes(data.codes), profile = bytes(data.profile), fixed = bytes(data.fixed), seconds = new Float32Array(bytes(data.length).buffer);
  const reasons = Object.keys(data.reasons);
  const sliders = data.rules.flatMap((rule, r) => rule.sliders.map((slider) => ({
    ...slider, rule, r, start: slider.position, governs: Uint8Array.from(data.profiles, (_, p) => Number(slider.profiles.includes(p))),
  })));

  const rejects = (rule, code, position) => code !== NOT_MEASURED && (rule.minimum ? code < position : code > position);
  const isNever = (slider) => slider.position === (slider.rule.minimum ? 0 : slider.rule.grid.length);
  const boundAt = (slider) => isNever(slider) ? null : slider.rule.grid[slider.position - (slider.rule.minimum ? 1 : 0)];
  const count = (value) => Math.round(value).toLocaleString("en");
  const signed = (value, digits = 0) => (value < 0 ? "−" : "+") + Math.abs(value).toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });
  const number = (value) => String(Number(value.toPrecision(6)));

  /* ---- judging: every embedded segment against every rule ---- */
  function judge() {
    const hits = data.rules.map((rule, r) => {
      const table = new Uint8Array(256 * data.profiles.length); // what each code means, by group of data sets
      for (const slider of sliders) if (slider.r === r)
        for (const p of slider.profiles) for (let code = 0; code < 256; code++) table[256 * p + code] = rejects(rule, code, slider.position) ? 1 : 0;
      const hit = new Uint8Array(n);
      for (let i = 0, at = r * n; i < n; i++, at++) hit[i] = table[256 * profile[i] + codes[at]];
      return hit;
    });
    const many = new Uint8Array(n), last = new Uint8Array(n), total = reasons.map(() => 0), only = reasons.map(() => 0);
    reasons.forEach((reason, k) => {
      const hit = new Uint8Array(n);
      hits.forEach((h, r) => { if (data.rules[r].reason === reason) for (let i = 0; i < n; i++) hit[i] |= h[i]; });
      if (reason === "doubtful") for (let i = 0; i < n; i++) if (many[i]) hit[i] = 0; // comes after all bounds: only without another
      if (reason === "no_audio") for (let i = 0; i < n; i++) hit[i] = fixed[i] & 1;
      for (const [last_reason, bit] of [["not_measured", 4], ["screened", 2]]) // come last: only without another
        if (reason === last_reason) for (let i = 0; i < n; i++) hit[i] = (fixed[i] & bit) && !many[i] ? 1 : 0;
      for (let i = 0; i < n; i++) if (hit[i]) { many[i]++; last[i] = k; total[k]++; }
    });
    for (let i = 0; i < n; i++) if (many[i] === 1) only[last[i]]++;
    return { hits, many, total, only };
  }
  const now = judge();

  /* ---- what changes against the bounds in force: {gained, lost} segments and seconds, and how sure that is ---- */
  function change(state, moved) {
    const sum = { gained: 0, lost: 0, gained_s: 0, lost_s: 0, error: 0, error_s: 0 };
    const add = (is, was, segments, length) => {
      if (is && !was) { sum.gained += segments; sum.gained_s += length; }
      if (was && !is) { sum.lost += segments; sum.lost_s += length; }
    };
    if (!isWhole && moved.length === 1) { // exact: all segments that hang on this rule alone
      const [slider] = moved;
      slider.alone.forEach((segments, code) => add(!rejects(slider.rule, code, slider.position), !rejects(slider.rule, code, slider.start), segments, slider.alone_s[code]));
      return sum;
    }
    for (let i = 0; i < n; i++) add(state.many[i] === 0, now.many[i] === 0, 1, seconds[i]);
    const scale = data.total / n;
    if (!isWhole) {
      sum.error = NORMAL_95 * scale * Math.sqrt(Math.max(sum.gained + sum.lost, 1));
      sum.error_s = sum.error * (data.total_s / data.total);
    }
    for (const key of ["gained", "lost", "gained_s", "lost_s"]) sum[key] *= scale;
    return sum;
  }

  /* ---- showing ---- */
  let state = now;
  function update() {
    const moved = sliders.filter((slider) => slider.position !== slider.start);
    state = judge();
    const c = change(state, moved), scale = data.total / n;
    const kept = data.now.kept + c.gained - c.lost, kept_s = data.now.seconds + c.gained_s - c.lost_s;
    const show = (id, text, value) => { byId(id).textContent = text; byId(id).dataset.value = value; };
    show("wi-kept", count(kept), Math.round(kept));
    show("wi-kept-share", `${(100 * kept / Math.max(data.total, 1)).toFixed(1)} % of ${count(data.total)}`, kept / data.total);
    show("wi-hours", (kept_s / HOUR_S).toFixed(kept_s < 36000 ? 2 : 1) + " h", kept_s / HOUR_S);
    show("wi-hours-share", `of ${(data.total_s / HOUR_S).toFixed(1)} h`, data.total_s / HOUR_S);
    show("wi-change", c.gained || c.lost ? `${signed(c.gained)} / −${count(c.lost)}` : "none", c.gained - c.lost);
    show("wi-change-hours", `${signed((c.gained_s - c.lost_s) / HOUR_S, 2)} h`, (c.gained_s - c.lost_s) / HOUR_S);
    const estimated = c.error > 0 && moved.length > 0;
    const note = byId("wi-note");
    note.classList.toggle("estimated", estimated);
    note.textContent = isWhole ? `All ${count(n)} segments are in this page: every figure is exact.`
      : !moved.length ? `The figures are exact. One moved bound stays exact; several are estimated from ${count(n)} of ${count(data.total)} segments, as are the reasons and the shapes.`
      : estimated ? `Estimated from a sample of ${count(n)} segments: ± ${count(c.error)} segments, ± ${(c.error_s / HOUR_S).toFixed(1)} h (95 %).`
      : "One bound moved: exact, from all segments that hang on this rule alone.";
    byId("wi-reset").disabled = !moved.length;
    showBars(scale);
    showYaml(moved);
    sliders.forEach((slider) => showSlider(slider, scale));
    cancelAnimationFrame(update.frame);
    update.frame = requestAnimationFrame(drawAll);
  }
  function showBars(scale) {
    const longest = Math.max(1, ...now.total, ...state.total), percent = (x) => `${(100 * x / longest).toFixed(2)}%`;
    byId("wi-bars").replaceChildren(...reasons.map((_, k) => k).filter((k) => now.total[k] || state.total[k])
      .sort((a, b) => now.total[b] - now.total[a]).map((k) => {
        const row = document.createElement("div"), difference = (state.total[k] - now.total[k]) * scale;
        row.className = "wi-bar"; row.dataset.reason = reasons[k]; row.dataset.total = state.total[k]; row.dataset.only = state.only[k]; row.title = data.reasons[reasons[k]];
        row.innerHTML = `<span>${reasons[k]}</span><div class="wi-track"><i class="some" style="width:${percent(state.total[k])}"></i><i style="width:${percent(state.only[k])}"></i><b style="left:calc(${percent(now.total[k])} - 1px)"></b></div>`
          + `<span>${isWhole ? "" : "≈ "}${count(state.total[k] * scale)}${difference ? ` (${signed(difference)})` : ""}</span>`;
        return row;
      }));
  }
  function showYaml(moved) {
    const both = (slider) => slider.rule.scalar ? String(boundAt(slider)) : `{warn: ${slider.warn}, reject: ${boundAt(slider)}}`;
    const lines = [];
    for (const slider of moved.filter((s) => !s.dataset)) lines.push(`  ${slider.rule.bound}: ${both(slider)}`);
    const sets = [...new Set(moved.filter((s) => s.dataset).map((s) => s.dataset))];
    if (sets.length) lines.push("  overrides:");
    for (const set of sets) {
      lines.push(`    ${set}:`);
      for (const slider of moved.filter((s) => s.dataset === set)) lines.push(`      ${slider.rule.bound}: ${both(slider)}`);
    }
    byId("wi-yaml").textContent = lines.length ? ["filter:", ...lines].join("\n") : "# no bound has been moved";
    byId("wi-copy").disabled = !lines.length;
  }
  function showSlider(slider, scale) {
    const bound = boundAt(slider);
    slider.card.classList.toggle("moved", slider.position !== slider.start);
    slider.range.value = slider.position;
    slider.box.value = bound === null ? "" : bound;
    let drops = 0, alone = 0;
    const hit = state.hits[slider.r];
    for (let i = 0; i < n; i++) if (hit[i] && slider.governs[profile[i]]) { drops++; if (state.many[i] === 1) alone++; }
    slider.output.textContent = `drops ${count(drops * scale)}, alone ${count(alone * scale)}`;
  }

  /* ---- the little histograms: kept and dropped by value, the bound drawn in; heights grow with the square root ---- */
  function draw(slider) {
    const canvas = slider.canvas, ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return; // folded away
    canvas.width = width * ratio; canvas.height = height * ratio;
    const pen = canvas.getContext("2d"), places = slider.rule.grid.length + 1, bars = Math.min(BARS, places);
    const kept = new Float64Array(bars), dropped = new Float64Array(bars);
    for (let i = 0, at = slider.r * n; i < n; i++, at++) {
      if (codes[at] === NOT_MEASURED || !slider.governs[profile[i]]) continue;
      (state.many[i] ? dropped : kept)[Math.floor(codes[at] * bars / places)]++;
    }
    const tallest = Math.sqrt(Math.max(1, ...kept.map((k, b) => k + dropped[b])));
    pen.scale(ratio, ratio);
    const wide = width / bars;
    for (let b = 0; b < bars; b++) {
      const whole = (height - 2) * Math.sqrt(kept[b] + dropped[b]) / tallest, green = kept[b] ? whole * kept[b] / (kept[b] + dropped[b]) : 0;
      pen.fillStyle = css("--good"); pen.fillRect(b * wide + 0.5, height - green, Math.max(wide - 1, 1), green);
      pen.fillStyle = css("--warn"); pen.fillRect(b * wide + 0.5, height - whole, Math.max(wide - 1, 1), whole - green);
    }
    pen.fillStyle = css("--line-strong"); pen.fillRect(0, height - 1, width, 1);
    const line = (position, dash, colour) => {
      const x = Math.min(width - 1, Math.max(1, width * (position + (slider.rule.minimum ? 0 : 1)) / places));
      pen.strokeStyle = css(colour); pen.lineWidth = 1.5; pen.setLineDash(dash);
      pen.beginPath(); pen.moveTo(x, 0); pen.lineTo(x, height); pen.stroke();
    };
    if (slider.warn !== null) line(positionOf(slider.rule, slider.warn), [2, 3], "--ink-faint");
    if (slider.position !== slider.start) line(slider.start, [5, 3], "--ink-soft");
    if (!isNever(slider)) line(slider.position, [], "--bad");
  }
  const drawAll = () => sliders.forEach(draw);
  function positionOf(rule, value) { // of the grid point nearest to a number
    let best = 0;
    rule.grid.forEach((g, j) => { if (Math.abs(g - value) < Math.abs(rule.grid[best] - value)) best = j; });
    return best + (rule.minimum ? 1 : 0);
  }

  /* ---- building ---- */
  function build(slider) {
    const { rule } = slider, card = document.createElement("div");
    const own = slider.dataset ? ` <span class="badge tone-accent"></span>` : "";
    card.className = "card wi-card";
    card.innerHTML = `<header><span></span><span>${own} <span class="badge tone-quiet">${rule.reason}</span></span></header><canvas></canvas>
      <input type="range" step="1"><div class="wi-ends"><span>${number(rule.grid[0])}</span><span>${number(rule.grid[rule.grid.length - 1])}</span></div>
      <div class="wi-foot"><label>${rule.minimum ? "at least" : "at most"} <input type="number" step="any" placeholder="never"></label><output></output></div>`;
    card.querySelector("header span").textContent = rule.title;
    if (slider.dataset) card.querySelector(".tone-accent").textContent = slider.dataset;
    card.title = data.reasons[rule.reason];
    Object.assign(slider, { card, canvas: card.querySelector("canvas"), range: card.querySelector("[type=range]"), box: card.querySelector("[type=number]"), output: card.querySelector("output") });
    slider.range.min = 0;
    slider.range.max = rule.grid.length - (rule.scalar ? 1 : 0); // a bound that is one number cannot be "never"
    slider.range.dataset.bound = slider.box.dataset.bound = rule.bound;
    slider.range.dataset.dataset = slider.box.dataset.dataset = slider.dataset;
    slider.range.setAttribute("aria-label", `${rule.title}, ${rule.minimum ? "at least" : "at most"}`);
    slider.range.addEventListener("input", () => { slider.position = Number(slider.range.value); update(); });
    slider.box.addEventListener("change", () => {
      slider.position = slider.box.value !== "" ? positionOf(rule, Number(slider.box.value)) : rule.scalar ? slider.start : rule.minimum ? 0 : rule.grid.length;
      update();
    });
    return card;
  }
  Object.entries(data.topics).forEach(([topic, title]) => {
    const mine = sliders.filter((slider) => slider.rule.topic === topic);
    if (!mine.length) return;
    const group = document.createElement("details"), cards = document.createElement("div");
    group.className = "wi-topic"; group.open = true;
    group.innerHTML = `<summary>${title}<small>${mine.length} bounds</small></summary>`;
    cards.className = "wi-cards";
    cards.append(...mine.map(build));
    group.append(cards);
    group.addEventListener("toggle", drawAll);
    byId("wi-topics").append(group);
  });
  byId("wi-reset").addEventListener("click", () => { sliders.forEach((slider) => { slider.position = slider.start; }); update(); });
  byId("wi-copy").addEventListener("click", () => navigator.clipboard.writeText(byId("wi-yaml").textContent));
  const download = byId("wi-download");
  download.disabled = !isWhole;
  if (!isWhole) download.title = "The page holds a sample only. keep.csv beside it lists what the bounds in force keep; `space audit keep` writes the list for others.";
  function decodeIds() { // each one is what it shares with the one before, and the rest; lengths count code points, as Python's do
    let before = [];
    const shared = bytes(coded.shared);
    return coded.rest.map((rest, i) => (before = [...before.slice(0, shared[i]), ...rest]).join(""));
  }
  const text = (id) => /^[=+\-@\t\r]/.test(id) ? `'${id}` : id; // or a spreadsheet runs it: as space_data.csv_files
  const cell = (id) => /[",\n\r]/.test(id) ? `"${id.replaceAll('"', '""')}"` : id;
  const keepList = () => ["clip_id", ...decodeIds().filter((_, i) => state.many[i] === 0).map((id) => cell(text(id)))].join("\n") + "\n";
  download.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([keepList()], { type: "text/csv" }));
    link.download = "keep.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  byId("whatif").keepList = keepList;
  new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("resize", drawAll);
  update();
})();
