"use strict";
/* One rater's session: consent, instructions, the trials of one list, thanks. Answers go to the server where there is one (and the
   page goes on only once they are stored there), else they stay in the browser until they are saved as a file. */
const $ = (id) => document.getElementById(id);
const root = document.documentElement, video = $("video"), canvases = [$("canvas-a"), $("canvas-b")];
const STORAGE = `study-${PLAN.study}`, RETRY_MS = 2000, LEAST_PLAYED = 0.9;
const session = { rater: "", list: null, answers: [], online: false };
let trial = null, question = "", shownAt = 0, plays = 0, heard = false, isSending = false;

/* ---- what is remembered ---- */
function remember() { try { localStorage.setItem(STORAGE, JSON.stringify(session)); } catch { /* private window: the server or the tab remembers */ } }
function remembered() { try { return JSON.parse(localStorage.getItem(STORAGE)) ?? {}; } catch { return {}; } }
const fragment = () => new URLSearchParams(location.hash.slice(1));
const randomId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

async function post(path, body) {
  const reply = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const told = await reply.json().catch(() => ({}));
  if (!reply.ok) throw Object.assign(new Error(told.error ?? `status ${reply.status}`), { status: reply.status });
  return told;
}

/* Whether the study's own server is there: not on a page from a disk or from a plain file host. */
async function isServed() {
  if (!location.protocol.startsWith("http")) return false;
  const reply = await fetch("status");
  return reply.ok && (await reply.json().catch(() => ({}))).study === PLAN.study;
}
/* Who has been here before goes on. */
async function open() {
  const before = remembered(), rater = fragment().get("rater") ?? before.rater;
  session.online = await isServed();
  session.list = session.online ? null : numbered(fragment().get("list"));
  if (session.online && rater) await begin(rater).catch((error) => { if (error.status !== 404) throw error; });
  if (!session.online && before.rater && !before.online && [null, before.list].includes(session.list)) Object.assign(session, before);
}
/* A new session, or that of a rater who comes back. */
async function begin(rater) {
  if (session.online) {
    Object.assign(session, await post("session", { rater }));
    history.replaceState(null, "", `#rater=${session.rater}`);
  } else Object.assign(session, { rater: rater || randomId(), list: session.list ?? numbered($("list").value) });
  remember();
}
function numbered(text) { const n = Number(text); return Number.isInteger(n) && n >= 1 && n <= PLAN.lists.length ? n - 1 : null; }

/* ---- screens ---- */
function show(name) {
  root.dataset.screen = name;
  document.querySelectorAll(".screen").forEach((screen) => { screen.hidden = screen.dataset.screen !== name; });
  document.querySelector(`.screen[data-screen="${name}"] h2`).focus({ preventScroll: true });
  scrollTo(0, 0);
}
function complain(text) { $("problem").textContent = text; $("problem").hidden = !text; }

function pending() {
  const list = PLAN.lists[session.list], given = new Set(session.answers.map((a) => `${a.trial} ${a.question}`));
  return list.trials.flatMap((t) => list.questions.map((q) => [t, q])).filter(([t, q]) => !given.has(`${t.id} ${q}`));
}

function proceed() {
  const left = pending(), list = PLAN.lists[session.list];
  if (!left.length) return finish();
  const [next, asked] = left[0], all = list.trials.length * list.questions.length;
  $("progress").value = all - left.length;
  $("count").textContent = `Pair ${list.trials.indexOf(next) + 1} of ${list.trials.length} · question ${list.questions.indexOf(asked) + 1} of ${list.questions.length}`;
  question = asked;
  $("question").textContent = PLAN.questions[asked];
  $("answer").reset();
  plays = 0; shownAt = performance.now(); setHeard(false); complain("");
  load(next, left.find(([t]) => t !== next)?.[0]);
  Object.assign(root.dataset, { trial: next.id, question: asked });
  show("trial");
}

function finish() {
  video.pause();
  $("stored").textContent = session.online ? "All your answers are stored. You can close this page." : "You have answered everything.";
  $("send").hidden = session.online;
  $("code").textContent = session.rater.slice(0, 8);
  show("done");
}

/* ---- the pair: one file with both faces, so that they cannot drift apart; each half is drawn on its side ---- */
function load(next, after) {
  trial = next;
  // Set anew for every question, even of the same pair: what was played is then counted from nothing.
  video.src = `media/${next.media}`;
  $("play").disabled = true;
  if (after) load.ahead = Object.assign(document.createElement("video"), { preload: "auto", muted: true, src: `media/${after.media}` });
}
function draw() {
  const width = video.videoWidth / 2, height = video.videoHeight;
  if (!width || !trial) return;
  canvases.forEach((canvas, side) => {
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext("2d").drawImage(video, (side === Number(trial.swapped) ? 0 : 1) * width, 0, width, height, 0, 0, width, height);
  });
  if (video.duration) $("position").value = video.currentTime / video.duration;
}
function animate() { draw(); if (!video.paused && !video.ended) requestAnimationFrame(animate); }
function setHeard(value) {
  heard = value;
  $("choices").disabled = !value;
  $("hint").textContent = value ? "Your answer:" : "Play both to the end, then answer.";
  if (!value) $("position").value = 0;
  update();
}
function update() {
  $("next").disabled = !heard || isSending || !new FormData($("answer")).get("choice");
  $("play").textContent = !video.paused && !video.ended ? "Pause" : heard ? "Play again" : "Play both";
}
function played() { let sum = 0; for (let i = 0; i < video.played.length; i++) sum += video.played.end(i) - video.played.start(i); return sum; }
function toggle() {
  if ($("play").disabled) return;
  if (video.paused || video.ended) video.play().catch((error) => complain(`The video does not play: ${error.message}`));
  else video.pause();
}
video.addEventListener("loadeddata", () => {
  const pair = document.querySelector(".pair"), shape = video.videoWidth / 2 / video.videoHeight;
  pair.style.setProperty("--shape", shape);
  pair.classList.toggle("is-wide", shape > 1.4);
  $("play").disabled = false;
  draw();
});
video.addEventListener("seeked", draw);
video.addEventListener("play", () => { update(); animate(); });
video.addEventListener("pause", update);
video.addEventListener("ended", () => {
  draw();
  plays += 1;
  if (played() >= LEAST_PLAYED * video.duration) setHeard(true); else update();
});
video.addEventListener("error", () => complain("The video cannot be loaded. Please check the connection and load this page again: your answers are kept."));
document.addEventListener("visibilitychange", () => { if (document.hidden) video.pause(); });

/* ---- answers ---- */
async function answer(event) {
  event.preventDefault();
  const choice = new FormData($("answer")).get("choice");
  if (!heard || !choice || isSending) return;
  const given = { trial: trial.id, question, answer: choice, seconds: Math.round(performance.now() - shownAt) / 1000, plays };
  isSending = true; video.pause(); update();
  try { await stored(given); } catch (error) { return complain(`Not stored: ${error.message}. Please load this page again.`); } finally { isSending = false; }
  session.answers.push(given);
  remember();
  $("state").textContent = "";
  proceed();
}
/* Resolves once the answer is safe; a server that cannot be reached is asked again and again. */
async function stored(given) {
  while (session.online) {
    try { return await post("vote", { rater: session.rater, ...given }); } catch (error) {
      if (error.status && error.status < 500) throw error;
      $("state").textContent = "Not stored yet: the server cannot be reached. Trying again …";
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}
function download() {
  const { rater, list, answers } = session;
  const text = JSON.stringify({ format: PLAN.format, study: PLAN.study, rater, list, answers }, null, 1);
  const link = Object.assign(document.createElement("a"), { download: `answers-${rater.slice(0, 8)}.json`, href: URL.createObjectURL(new Blob([text], { type: "application/json" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), RETRY_MS);
}

/* ---- set-up ---- */
$("consent").addEventListener("submit", async (event) => {
  event.preventDefault();
  complain("");
  try { await begin(session.rater); } catch (error) { return complain(`The study cannot be reached: ${error.message}. Please try again.`); }
  if (session.list === null) return complain(`Please give your number, 1 to ${PLAN.lists.length}.`);
  show("instructions");
});
$("begin").addEventListener("click", proceed);
$("play").addEventListener("click", toggle);
$("answer").addEventListener("change", update);
$("answer").addEventListener("submit", answer);
$("download").addEventListener("click", download);
document.querySelector(".theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
document.addEventListener("keydown", (event) => {
  if (root.dataset.screen !== "trial" || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const choice = { 1: "a", 2: "b", 0: "tie" }[event.key];
  if (event.key === " " && (event.target.type !== "radio" || event.target.checked) && event.target.tagName !== "BUTTON") { event.preventDefault(); toggle(); }
  else if (choice && heard) {
    const radio = document.querySelector(`input[value="${choice}"]`);
    radio.checked = true;
    radio.focus();  // so that Enter goes on, and does not press the button that was clicked last
    update();
  }
  else if (event.key === "Enter" && event.target.tagName !== "BUTTON") { event.preventDefault(); if (!$("next").disabled) $("answer").requestSubmit(); }
});
open().then(() => {
  $("list-field").hidden = session.online || session.list !== null;
  $("list").required = !$("list-field").hidden;
  show(session.answers.length ? "instructions" : "consent");
}).catch((error) => { show("consent"); complain(`The study cannot be reached: ${error.message}. Please load this page again.`); });
