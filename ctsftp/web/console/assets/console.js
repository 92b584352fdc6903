// A page shows what is new without being loaded again: the server says that something changed, and the page fetches
// itself and takes over its main part. What somebody is typing, has opened or is about to press is left alone: then a
// button offers the news. Without this script every page works; it is only as old as its last load.
"use strict";

let live = null;
let running = false;
let again = false;

listen();
document.addEventListener("visibilitychange", listen);
window.addEventListener("pagehide", () => live?.close());
// A page that comes back from the history of the browser is as old as it was.
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// Only the page that is looked at: a browser has six connections to a server, and many tabs would take them all.
function listen() {
  live?.close();
  if (document.hidden) return;
  live = new EventSource(`/live?beat=${document.querySelector("main").dataset.beat}`);
  live.addEventListener("change", refresh);
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
      const answer = await fetch(location.href, { headers: { "X-Refresh": "1" }, redirect: "manual" });
      if (answer.type === "opaqueredirect") location.reload(); // the session is over
      else if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* The server is away; the next change tries again. */ }
  } while (again);
  running = false;
}

function show(page) {
  document.querySelector("nav").replaceWith(page.querySelector("nav"));
  const main = document.querySelector("main");
  const fresh = page.querySelector("main");
  main.dataset.beat = fresh.dataset.beat;
  const notices = [...main.querySelectorAll("[data-notice]")];
  fresh.prepend(...notices.map((notice) => notice.cloneNode(true)));
  if (main.textContent.replace(/\s+/g, " ") === fresh.textContent.replace(/\s+/g, " ")) return;
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
