/* The player: all systems of one clip play, pause and go to a frame together. One video leads (the one that is heard); the others
   are muted and keep up with it by playing a little faster or slower, or by a jump when they are far off. Only videos on screen are
   loaded. `evaluation/report_player.py` makes the data. */
(() => {
  const data = JSON.parse(document.getElementById("player-data").textContent), { fps, systems, clips } = data;
  const box = document.getElementById("player"), find = (selector) => box.querySelector(selector);
  const choice = (name) => find(`[data-choice=${name}]`), slider = find("input[type=range]"), plot = find("svg");
  const RATES = [0.25, 0.5, 1], NOBODY = -1, LOST = 255;
  const FAR_S = 0.25, NEAR_S = 0.008, CATCH_UP_S = 0.2, MOST = 0.5; // catch up within 0.2 s, at most half as fast again
  const visible = systems.map((system) => system.shown);
  const wanted = new WeakMap(); // time to go to once a video has finished going elsewhere
  let clip = 0, frame = 0, heard = Math.max(0, visible.indexOf(true)), playing = false, turn = 0, isNear = false;

  /* ---- tiles ---- */
  const make = (tag, parent, name = "", text = "") => {
    const element = parent.appendChild(document.createElement(tag));
    element.className = name; element.textContent = text;
    return element;
  };
  const colourOf = (system) => system.colour || "var(--quiet)";
  const tiles = systems.map((system) => {
    const tile = make("figure", find(".player-grid"), "player-tile"), screen = make("div", tile, "player-screen");
    tile.style.setProperty("--colour", colourOf(system));
    const video = make("video", screen), why = make("p", screen, "player-why"), caption = make("figcaption", tile);
    Object.assign(video, { muted: true, playsInline: true, preload: "auto", tabIndex: -1 });
    video.dataset.system = system.name;
    make("strong", caption, "", system.title);
    for (const happened of ["loadedmetadata", "seeked"]) video.addEventListener(happened, () => {
      const time = wanted.get(video);
      wanted.delete(video);
      if (time !== undefined) video.currentTime = time;
    });
    video.addEventListener("error", () => { if (video.src) why.textContent = "this browser cannot play the file"; });
    return { tile, screen, video, why, facts: make("span", caption) };
  });
  const buttons = systems.map((system, index) => {
    const button = make("button", find(".player-systems"));
    button.type = "button"; button.style.setProperty("--colour", colourOf(system));
    make("i", button); button.append(system.title);
    button.addEventListener("click", () => { visible[index] = !visible[index]; arrange(); });
    return button;
  });
  const active = () => tiles.filter((tile, index) => visible[index] && tile.video.src && !tile.video.error).map((tile) => tile.video);
  const lead = () => active().find((video) => video === tiles[heard]?.video) ?? active()[0];

  function arrange() { // after another clip, other systems or another sound was chosen
    const again = playing, shownClip = clips[clip];
    hold();
    systems.forEach((system, index) => {
      const { tile, video, why, facts, screen } = tiles[index], own = shownClip.systems[index];
      const source = visible[index] && isNear ? own.video : "";
      buttons[index].setAttribute("aria-pressed", visible[index]);
      tile.hidden = !visible[index];
      tile.classList.toggle("heard", index === heard);
      why.textContent = own.why;
      facts.textContent = data.metrics.map((title, i) => `${title} ${own.values[i]}`).join(", ");
      if ((video.getAttribute("src") ?? "") !== source) {
        if (source) video.src = source; else video.removeAttribute("src");
        video.load();
      }
      const [x, y, side] = choice("mouths").checked && own.mouth ? own.mouth : [0.5, 0.5, 1];
      video.style.transform = `scale(${1 / side}) translate(${-100 * (x - side / 2)}%, ${-100 * (y - side / 2)}%)`;
      screen.title = own.video;
    });
    choice("clip").value = clip; choice("sound").value = heard;
    slider.max = shownClip.frames - 1;
    draw();
    goTo(frame);
    if (again) play();
  }

  /* ---- time ---- */
  function goTo(index) { // the middle of a frame, so that rounding cannot show its neighbour
    show(Math.max(0, Math.min(clips[clip].frames - 1, index)));
    const time = (frame + 0.5) / fps;
    for (const video of active()) {
      if (video.seeking || video.readyState < HTMLMediaElement.HAVE_METADATA) wanted.set(video, time);
      else video.currentTime = time;
    }
  }
  function show(index) {
    frame = index; slider.value = index;
    find("output").textContent = `frame ${index + 1} of ${clips[clip].frames} · ${(index / fps).toFixed(2)} s`;
    const now = plot.querySelector(".now");
    if (now) for (const end of ["x1", "x2"]) now.setAttribute(end, xOf(index));
  }
  const isReady = (video) => video.error || (!video.seeking && !wanted.has(video) && video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA);
  async function play() {
    const own = ++turn;
    playing = true; find(".player-play").textContent = "Pause";
    if (frame >= clips[clip].frames - 1) goTo(0);
    while (own === turn && !active().every(isReady)) await new Promise(requestAnimationFrame);
    if (own !== turn) return;
    for (const video of active()) {
      video.muted = video !== tiles[heard]?.video;
      video.playbackRate = rate();
      video.play().catch(() => {});
    }
    if (lead()) follow(own); else pause();
  }
  function hold() { playing = false; turn++; active().forEach((video) => video.pause()); }
  function pause() {
    hold();
    find(".player-play").textContent = "Play";
    goTo(frame); // all of them to the frame that is told
  }
  function seek(index) {
    const again = playing;
    hold(); goTo(index);
    if (again) play();
  }
  const rate = () => Number(choice("rate").value);
  function follow(own) {
    if (own !== turn) return;
    const first = lead(), time = first.currentTime;
    for (const video of active()) if (video !== first && !video.seeking && !video.ended) {
      const behind = time - video.currentTime;
      if (Math.abs(behind) > FAR_S) video.currentTime = time;
      const wish = rate() * (Math.abs(behind) < NEAR_S ? 1 : 1 + Math.max(-MOST, Math.min(MOST, behind / CATCH_UP_S)));
      if (video.playbackRate !== wish) video.playbackRate = wish;
    }
    if (first.ended) { if (choice("loop").checked) seek(0); else { show(clips[clip].frames - 1); pause(); } return; }
    show(Math.min(clips[clip].frames - 1, Math.floor(time * fps)));
    requestAnimationFrame(() => follow(own));
  }

  /* ---- lips over time ---- */
  const LEFT = 112, RIGHT = 10, HEIGHT = 140, ROW = 15, TOP = 8;
  const xOf = (index) => LEFT + (plot.clientWidth - LEFT - RIGHT) * index / Math.max(1, clips[clip].frames - 1);
  const decoded = (text) => [...atob(text)].map((c) => c.charCodeAt(0)).map((v) => (v === LOST ? NaN : v * data.gap_step));
  const node = (tag, attributes, colour = "", text = "") => {
    const element = plot.appendChild(document.createElementNS("http://www.w3.org/2000/svg", tag));
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (colour) element.style.setProperty("--colour", colour);
    element.textContent = text;
    return element;
  };
  function draw() {
    const lines = [{ title: "recording", colour: "var(--ink)", gaps: decoded(clips[clip].recording) }];
    systems.forEach((system, i) => {
      if (visible[i]) lines.push({ title: system.title, colour: colourOf(system), gaps: decoded(clips[clip].systems[i].gap) });
    });
    const top = Math.max(2 * data.closed, ...lines.flatMap((line) => line.gaps.filter(Number.isFinite)));
    const yOf = (gap) => TOP + HEIGHT * (1 - gap / top), right = plot.clientWidth - RIGHT;
    plot.replaceChildren();
    plot.style.height = `${TOP + HEIGHT + 12 + ROW * lines.length}px`;
    for (const gap of [0, top]) node("text", { x: LEFT - 8, y: yOf(gap) }, "", gap.toFixed(2));
    node("line", { class: "axis", x1: LEFT, x2: right, y1: yOf(0), y2: yOf(0) });
    node("line", { class: "closed", x1: LEFT, x2: right, y1: yOf(data.closed), y2: yOf(data.closed) });
    lines.forEach(({ title, colour, gaps }, row) => {
      const step = gaps.map((gap, i) => Number.isNaN(gap) ? "" : `${i && !Number.isNaN(gaps[i - 1]) ? "L" : "M"}${xOf(i).toFixed(1)} ${yOf(gap).toFixed(1)}`);
      node("path", { d: step.join("") }, colour);
      const y = TOP + HEIGHT + 14 + ROW * row, width = xOf(1) - xOf(0);
      node("text", { x: LEFT - 8, y: y + 4 }, "", title);
      gaps.forEach((gap, i) => { if (gap < data.closed) node("rect", { x: xOf(i) - width / 2, y, width: width + 0.3, height: 8 }, colour); });
    });
    node("line", { class: "now", x1: xOf(frame), x2: xOf(frame), y1: 0, y2: TOP + HEIGHT + 12 + ROW * lines.length });
  }
  const point = (event) => {
    const share = (event.clientX - plot.getBoundingClientRect().left - LEFT) / (plot.clientWidth - LEFT - RIGHT);
    seek(Math.round(share * (clips[clip].frames - 1)));
  };
  plot.addEventListener("pointerdown", (event) => { plot.setPointerCapture(event.pointerId); point(event); });
  plot.addEventListener("pointermove", (event) => { if (event.buttons) point(event); });

  /* ---- controls ---- */
  function choose(index) {
    clip = (index + clips.length) % clips.length; frame = 0;
    history.replaceState(null, "", `#play=${encodeURIComponent(clips[clip].id)}`);
    arrange();
  }
  const change = (step) => { choice("rate").value = RATES[Math.max(0, Math.min(2, RATES.indexOf(rate()) + step))]; };
  const listen = (index) => { if (index === NOBODY || systems[index]) { heard = index; arrange(); } };
  const actions = {
    play: () => (playing ? pause() : play()), start: () => seek(0), next: () => choose(clip + 1), previous: () => choose(clip - 1),
    back: () => { pause(); goTo(frame - 1); }, on: () => { pause(); goTo(frame + 1); },
  };
  const keys = { " ": "play", k: "play", ",": "back", ".": "on", ArrowLeft: "back", ArrowRight: "on", Home: "start", n: "next", p: "previous" };
  box.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", actions[button.dataset.do]));
  box.addEventListener("click", (event) => { // after a click of the mouse the keys work on; a key on a button keeps its place
    if (event.detail && event.target.closest("button")) box.focus({ preventScroll: true });
  });
  slider.addEventListener("input", () => seek(Number(slider.value)));
  choice("clip").addEventListener("change", (event) => choose(Number(event.target.value)));
  choice("sound").addEventListener("change", (event) => listen(Number(event.target.value)));
  choice("mouths").addEventListener("change", arrange);
  box.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.altKey || event.metaKey || target.matches("select, input") || (key === " " && target.matches("button"))) return;
    if (key in keys) actions[keys[key]]();
    else if (key === "<" || key === ">") change(key === "<" ? -1 : 1);
    else if (key === "m") listen(NOBODY);
    else if (/^[1-9]$/.test(key)) listen(visible.flatMap((is, index) => (is ? [index] : []))[key - 1]);
    else return;
    event.preventDefault();
  });
  function open() { // #play=<clip>&system=<name>: links from the tables, and addresses that people send each other
    const asked = new URLSearchParams(location.hash.slice(1)), index = clips.findIndex((one) => one.id === asked.get("play"));
    if (index < 0) return;
    const system = systems.findIndex((one) => one.name === asked.get("system"));
    if (system >= 0) { visible[system] = true; heard = system; }
    isNear = true; clip = index; frame = Number(asked.get("at")) || 0;
    arrange();
    box.scrollIntoView({ block: "start", behavior: "instant" });
    box.focus({ preventScroll: true });
  }
  document.addEventListener("click", (event) => { // the same link twice changes no address
    const link = event.target.closest?.("a[href^='#play=']");
    if (!link) return;
    event.preventDefault();
    history.replaceState(null, "", link.getAttribute("href"));
    open();
  });
  addEventListener("hashchange", open);

  const option = (select, value, text) => { make("option", select, "", text).value = value; };
  clips.forEach((one, index) => option(choice("clip"), index, `${index + 1}  ${one.id} (${one.label})`));
  systems.forEach((system, index) => option(choice("sound"), index, system.title));
  option(choice("sound"), NOBODY, "nobody");
  new ResizeObserver(() => { draw(); show(frame); }).observe(plot);
  new IntersectionObserver((entries, observer) => {
    if (entries.some((entry) => entry.isIntersecting)) { observer.disconnect(); isNear = true; arrange(); }
  }, { rootMargin: "400px" }).observe(box);
  arrange();
  open();
})();
