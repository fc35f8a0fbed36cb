"use strict";
// One sample's page: what is laid over the photographs, keys, copying.
(function () {
  const buttons = Array.from(document.querySelectorAll("button[data-view]"));

  function show(view) {
    document.body.dataset.view = view;
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.view === view));
    }
  }

  function toggle(view) {
    show(document.body.dataset.view === view ? "prediction" : view);
  }

  async function copy() {
    const text = JSON.stringify(JSON.parse(document.getElementById("sample-json").textContent), null, 2);
    const said = document.getElementById("copied");
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = "Copied.";
    } catch {
      said.textContent = copyBySelection(text) ? "Copied." : "This browser refuses to copy.";
    }
  }

  function copyBySelection(text) {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }

  function follow(selector) {
    const link = document.querySelector(selector);
    if (link) location.href = link.href;
  }

  const keys = {
    ArrowLeft: () => follow("a[rel=prev]"),
    ArrowRight: () => follow("a[rel=next]"),
    d: () => toggle("difference"),
    p: () => toggle("photo"),
    g: () => follow("#back"),
    c: copy,
  };

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    if (event.target.closest("pre, input, textarea, select")) return;
    keys[event.key]();
  });
  for (const button of buttons) button.addEventListener("click", () => show(button.dataset.view));
  document.getElementById("copy").addEventListener("click", copy);

  // Back to the gallery as it was left: its address was kept when the card was followed.
  try {
    const left = sessionStorage.getItem("evalkit-gallery");
    if (left && left.startsWith("#gallery")) document.getElementById("back").hash = left;
  } catch {
    // without storage the link leads to the unfiltered gallery
  }
  show("prediction");
})();
