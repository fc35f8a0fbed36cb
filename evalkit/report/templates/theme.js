"use strict";
// Light or dark: the reader's choice where there is one, else the system's. Runs before the first paint.
(function () {
  const root = document.documentElement;
  root.classList.add("scripted");

  function remembered() {
    try {
      return localStorage.getItem("evalkit-theme");
    } catch {
      return null; // storage may be closed to pages that are opened from disk
    }
  }

  function remember(theme) {
    try {
      localStorage.setItem("evalkit-theme", theme);
    } catch {
      // the choice then lasts as long as the page
    }
  }

  const chosen = remembered();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  document.addEventListener("DOMContentLoaded", function () {
    document.getElementById("theme").addEventListener("click", function () {
      const dark = root.dataset.theme
        ? root.dataset.theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      remember(root.dataset.theme);
    });
  });
})();
