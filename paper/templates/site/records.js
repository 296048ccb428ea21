"use strict";
// Comfort alone: opens the details of the row that the address names, and filters rows by words.
const filter = document.getElementById("filter");
const words = document.getElementById("words");
const rows = [...document.querySelectorAll("tr[data-row]")];
const texts = rows.map((row) => row.textContent.toLowerCase());

function apply() {
  const wanted = words.value.toLowerCase().split(/\s+/);
  let shown = 0;
  rows.forEach((row, index) => {
    row.hidden = !wanted.every((word) => texts[index].includes(word));
    shown += !row.hidden;
  });
  for (const section of document.querySelectorAll("main section")) {
    section.hidden = Boolean(words.value) && !section.querySelector("tr[data-row]:not([hidden])");
  }
  document.getElementById("count").textContent = `${shown} of ${rows.length} rows`;
}

function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.closest("[hidden]")) {
    words.value = "";
    apply();
  }
  const details = target.matches("tr") && target.querySelector("details");
  if (details) details.open = true;
  target.scrollIntoView();
}

words.addEventListener("input", apply);
filter.addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("hashchange", open);
filter.hidden = false;
apply();
open();
