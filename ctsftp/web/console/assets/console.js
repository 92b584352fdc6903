// A page shows what is new without being loaded again: the server says that something changed, and the page fetches
// itself and takes over its main part. What somebody is typing, has opened or is about to press is left alone: then a
// button offers the news. A page that hears nothing asks whether the server and the session are still there; if they
// are not, it says so and sends no form, so that neither a click nor what was typed is lost. Without this script every
// page works; it is only as old as its last load.
"use strict";

const QUIET_MS = 2600; // the server says every 2 s that it is there (live.py)
const ANSWER_MS = 1400; // with that and LOOK_MS, a page knows within 5 s that it is blind
const LOOK_MS = 500;

let live = null;
let heardAt = 0;
let asking = null;
let running = false;
let again = false;
let sending = false;

listen();
setInterval(look, LOOK_MS);
document.addEventListener("visibilitychange", listen);
document.addEventListener("submit", send);
document.addEventListener("click", stay);
window.addEventListener("offline", () => tell("away"));
window.addEventListener("online", ask);
window.addEventListener("pagehide", () => live?.close());
// A page that comes back from the history of the browser is as old as it was.
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// Only the page that is looked at: a browser has six connections to a server, and many tabs would take them all.
function listen() {
  live?.close();
  if (document.hidden) return;
  heardAt = Date.now();
  live = new EventSource(`/live?beat=${document.querySelector("main").dataset.beat}`);
  live.addEventListener("alive", hear);
  live.addEventListener("change", () => { hear(); refresh(); });
  live.addEventListener("error", () => { heardAt = 0; });
}

function hear() {
  heardAt = Date.now();
  tell("");
}

function look() {
  if (!document.hidden && Date.now() - heardAt > QUIET_MS) ask();
}

// Ask what has become of the server and the session; several who ask at once share an answer, which is whether both
// are there.
function ask() {
  asking ??= answer().finally(() => { asking = null; });
  return asking;
}

async function answer() {
  let found = null;
  try {
    found = await fetch("/session", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
  } catch { /* Nobody is there. */ }
  const state = found?.status === 204 ? "" : found?.status === 401 ? "ended" : "away";
  const before = tell(state);
  if (state) return false;
  sign(found.headers.get("ctsftp-csrf"));
  heardAt = Date.now();
  if (before || found.headers.get("ctsftp-beat") !== document.querySelector("main").dataset.beat) refresh();
  if (before || live?.readyState === EventSource.CLOSED) listen();
  return true;
}

// Have the page's forms sent by the session that is there now: somebody may have signed in anew.
function sign(csrf) {
  for (const field of document.querySelectorAll("[name=csrf]")) field.value = csrf;
}

// Show what is wrong, "" for nothing; give what was wrong before.
function tell(state) {
  const before = document.body.dataset.blind ?? "";
  if (state === before) return before;
  document.body.dataset.blind = state;
  for (const banner of document.querySelectorAll("[data-banner]")) banner.hidden = banner.dataset.banner !== state;
  if (state === "away") document.querySelector("[data-since]").textContent = `${new Date().toISOString().slice(11, 19)} UTC`;
  const link = document.querySelector("[data-banner] a");
  link.search = new URLSearchParams({ next: location.pathname + location.search });
  return before;
}

// A form is sent when the server and the session are there; until then the page keeps it.
async function send(event) {
  event.preventDefault();
  if (sending) return;
  sending = true;
  if (await ask()) event.target.submit();
  else for (const banner of document.querySelectorAll("[data-banner] [data-unsent]")) banner.hidden = false;
  sending = false;
}

// A link would leave the page, and what was typed on it, for the browser's own words on a server that is away. The
// link to sign in opens beside a page that somebody is at work on.
function stay(event) {
  const link = event.target.closest("a[href]");
  if (link?.closest("[data-banner]")) link.target = isInUse(document.querySelector("main")) ? "_blank" : "";
  else if (link && document.body.dataset.blind === "away") event.preventDefault();
}

async function refresh() {
  if (running) {
    again = true;
    return;
  }
  running = true;
  do {
    again = false;
    try {
      const page = await fetch(location.href, { headers: { "X-Refresh": "1" }, redirect: "manual" });
      if (page.type === "opaqueredirect") tell("ended");
      else if (page.ok) show(new DOMParser().parseFromString(await page.text(), "text/html"));
    } catch { /* The server is away; when it is back, the page is asked for again. */ }
  } while (again);
  running = false;
}

function show(page) {
  const main = document.querySelector("main");
  const fresh = page.querySelector("main");
  sign(page.querySelector("[name=csrf]").value);
  document.querySelector(".bar").replaceWith(page.querySelector(".bar"));
  main.dataset.beat = fresh.dataset.beat;
  const notices = [...main.querySelectorAll("[data-notice]")];
  fresh.prepend(...notices.map((notice) => notice.cloneNode(true)));
  if (words(main) === words(fresh)) return;
  if (isInUse(main)) {
    offer();
    return;
  }
  const known = new Set([...main.querySelectorAll("tbody th a")].map((link) => link.href));
  const focused = main.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  main.replaceChildren(...fresh.childNodes);
  for (const link of main.querySelectorAll("tbody th a")) {
    if (!known.has(link.href)) link.closest("tr").classList.add("new");
    if (focused && link.getAttribute("href") === focused) link.focus();
  }
}

// What a person reads, but for a chart's axis: time goes on, and is no news.
function words(main) {
  const copy = main.cloneNode(true);
  for (const drawing of copy.querySelectorAll("svg")) drawing.remove();
  return copy.textContent.replace(/\s+/g, " ");
}

function isInUse(main) {
  if (main.querySelector("details[open], button:hover, summary:hover, :focus:is(input, select, button, summary)")) return true;
  return [...main.querySelectorAll("input:not([type=hidden])")].some((field) =>
    field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== field.defaultValue);
}

function offer() {
  if (document.querySelector(".fresh")) return;
  const place = document.createElement("div");
  place.className = "fresh";
  place.setAttribute("role", "status");
  const button = document.createElement("button");
  button.className = "main";
  button.textContent = "Something changed: show it";
  button.addEventListener("click", () => location.reload());
  place.append(button);
  document.body.append(place);
}
