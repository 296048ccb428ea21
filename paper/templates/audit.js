"use strict";
// Without this script the whole page is there; it only hides what was not asked for. The filter
// stands in the address (#verdict=contradicted&table=1&text=plate), so that a view can be passed on.
const controls = document.getElementById("filters");
const table = document.getElementById("table");
const text = document.getElementById("text");
const buttons = [...controls.querySelectorAll("button[data-show]")];
const rows = [...document.querySelectorAll("tr[data-verdict]")].map((row) => ({
  row,
  ...row.dataset,
  words: row.textContent.toLowerCase().replace(/\s+/g, " "),
}));
const groups = [...document.querySelectorAll("section[data-group]")];
let verdict = "";

function apply() {
  const wanted = text.value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const one of rows) {
    const matches = (!verdict || one.verdict === verdict) &&
      (!table.value || one.table === table.value) &&
      wanted.every((word) => one.words.includes(word));
    one.row.hidden = !matches;
    shown += matches;
  }
  for (const group of groups) {
    const left = group.querySelectorAll("tr[data-verdict]:not([hidden])").length;
    const entry = document.querySelector(`.contents [data-to="${group.id}"]`);
    entry.querySelector("span").textContent = left;
    group.hidden = entry.hidden = left === 0;
  }
  for (const button of buttons) {
    button.setAttribute("aria-pressed", String(button.dataset.show === verdict));
  }
  document.getElementById("count").textContent = `${shown} of ${rows.length} claims shown`;
}

function change() {
  apply();
  const state = new URLSearchParams();
  for (const [key, value] of [["verdict", verdict], ["table", table.value], ["text", text.value]]) {
    if (value) state.set(key, value);
  }
  history.replaceState(null, "", `#${state}`);
}

function fromAddress() {
  const hash = decodeURIComponent(location.hash.slice(1));
  if (!hash.includes("=")) { // the address of a section or a claim, which a filter may hide
    const target = document.getElementById(hash);
    if (target?.closest("[hidden]")) {
      verdict = table.value = text.value = "";
      apply();
      target.scrollIntoView();
    }
    return;
  }
  const state = new URLSearchParams(hash);
  const known = buttons.some((button) => button.dataset.show === state.get("verdict"));
  verdict = known ? state.get("verdict") : "";
  table.value = state.get("table") ?? "";
  if (table.selectedIndex < 0) table.value = "";
  text.value = state.get("text") ?? "";
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    verdict = verdict === button.dataset.show ? "" : button.dataset.show;
    change();
  });
}
table.addEventListener("change", change);
text.addEventListener("input", change);
document.getElementById("reset").addEventListener("click", () => {
  verdict = table.value = text.value = "";
  change();
});
controls.addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("hashchange", () => { fromAddress(); apply(); });
controls.hidden = false;
// Where the filter sticks to the window's top, nothing that gets the focus may lie under it.
new ResizeObserver(() => {
  const sticks = getComputedStyle(controls).position === "sticky";
  document.documentElement.style.scrollPaddingTop = sticks ? `${controls.offsetHeight + 8}px` : "";
}).observe(controls);
fromAddress();
apply();
