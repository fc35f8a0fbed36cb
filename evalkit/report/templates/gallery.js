"use strict";
// The gallery: filter, sort, page. Its whole state stands in the address bar (#gallery?model=...), so a
// view can be shared. Text from models reaches the page through textContent only.
(function () {
  const data = window.EVALKIT_GALLERY;
  const form = document.getElementById("filters");
  const wall = document.getElementById("wall");
  const cardTemplate = document.getElementById("card");
  const answers = data.answers;
  const total = answers.s.length;
  const fields = ["q", "model", "outcome", "failure", "format", "tag", "dataset", "strict", "min", "max", "sort", "layer", "whole", "undrawn"];
  let page = 0;
  let found = [];

  // ---- the form -------------------------------------------------------------------------------------
  function fill(name, values, words) {
    const select = form.elements[name];
    if (!select) return;
    for (const value of values) select.append(new Option(words ? words(value) : value, value));
  }

  function labels() {
    fill("model", data.models.map((model) => model.label));
    fill("outcome", data.outcomes, (name) => data.outcomeWords[name] || name);
    fill("failure", data.failures.slice().sort());
    fill("format", data.formats.slice().sort());
    fill("tag", data.tags.slice().sort());
    fill("dataset", data.datasets);
  }

  function read() {
    const state = {};
    for (const name of fields) {
      const field = form.elements[name];
      if (field) state[name] = field.type === "checkbox" ? (field.checked ? field.value : "") : field.value;
    }
    return state;
  }

  function write(state) {
    for (const name of fields) {
      const field = form.elements[name];
      if (!field) continue;
      const value = state[name] || "";
      if (field.type === "checkbox") field.checked = value === field.value;
      else if (field.type === "number") field.value = Number.isFinite(Number(value)) ? value : "";
      else field.value = value;
      if (field.tagName === "SELECT" && field.selectedIndex < 0) field.value = "";
    }
  }

  // ---- the address ----------------------------------------------------------------------------------
  function fromAddress() {
    const [place, query] = location.hash.slice(1).split("?");
    if (place !== "gallery") return false;
    const given = Object.fromEntries(new URLSearchParams(query || ""));
    write(given);
    page = Math.max(0, (parseInt(given.page, 10) || 1) - 1);
    return true;
  }

  function address(state) {
    const query = new URLSearchParams();
    for (const name of fields) if (state[name]) query.set(name, state[name]);
    if (page > 0) query.set("page", String(page + 1));
    const text = query.toString();
    return text ? "#gallery?" + text : "#gallery";
  }

  function keepAddress(state) {
    history.replaceState(null, "", address(state));
  }

  function rememberForSamples(state) {
    try {
      sessionStorage.setItem("evalkit-gallery", address(state));
    } catch {
      // sample pages then lead back to the unfiltered gallery
    }
  }

  // ---- filter and sort ------------------------------------------------------------------------------
  function tests(state) {
    const list = [];
    const wanted = (values, name) => values.indexOf(name);
    if (state.model) {
      const model = data.models.findIndex((entry) => entry.label === state.model);
      list.push((n) => answers.m[n] === model);
    }
    if (state.outcome) {
      const outcome = wanted(data.outcomes, state.outcome);
      list.push((n) => answers.o[n] === outcome);
    }
    if (state.failure) {
      const failure = wanted(data.failures, state.failure);
      list.push((n) => answers.f[n] === failure);
    }
    if (state.format) {
      const format = wanted(data.formats, state.format);
      list.push((n) => answers.w[n].includes(format));
    }
    if (state.tag) {
      const tag = wanted(data.tags, state.tag);
      list.push((n) => data.samples[answers.s[n]].t.includes(tag));
    }
    if (state.dataset) {
      const dataset = wanted(data.datasets, state.dataset);
      list.push((n) => data.samples[answers.s[n]].d === dataset);
    }
    if (state.strict) list.push((n) => answers.k[n] === (state.strict === "yes" ? 1 : 0));
    if (state.min) list.push((n) => answers.v[n] !== null && answers.v[n] >= Number(state.min));
    if (state.max) list.push((n) => answers.v[n] !== null && answers.v[n] <= Number(state.max));
    if (form.elements.undrawn && !state.undrawn) list.push((n) => data.samples[answers.s[n]].p !== undefined);
    if (state.q) list.push(textTest(state.q.toLowerCase()));
    return list;
  }

  function textTest(text) {
    const samples = data.samples.map((s) => s.x.toLowerCase().includes(text) || s.id.toLowerCase().includes(text));
    return (n) => samples[answers.s[n]] || answers.e[n].toLowerCase().includes(text);
  }

  function sortKey(name) {
    if (name === "iou") return (n) => (answers.v[n] === null ? 2 : answers.v[n]);
    if (name === "-iou") return (n) => (answers.v[n] === null ? 2 : -answers.v[n]);
    if (name === "spread") return (n) => -data.samples[answers.s[n]].s;
    if (name === "change") return (n) => (answers.c[n] === null ? 2 : answers.c[n]);
    if (name === "-change") return (n) => (answers.c[n] === null ? 2 : -answers.c[n]);
    return () => 0;
  }

  function select(state) {
    const all = tests(state);
    const kept = [];
    for (let n = 0; n < total; n += 1) if (all.every((test) => test(n))) kept.push(n);
    const key = sortKey(state.sort);
    return kept.sort((a, b) => key(a) - key(b) || answers.s[a] - answers.s[b] || answers.m[a] - answers.m[b]);
  }

  // ---- cards ----------------------------------------------------------------------------------------
  function layerFile(n, state) {
    const slug = data.samples[answers.s[n]].p;
    if (state.layer === "photo") return "";
    if (state.layer === "truth" || !answers.l[n]) return "overlays/" + slug + "-truth.png";
    return "overlays/" + slug + "-" + answers.m[n] + (state.layer === "difference" ? "-difference" : "") + ".png";
  }

  function card(n, state) {
    const node = cardTemplate.content.firstElementChild.cloneNode(true);
    const sample = data.samples[answers.s[n]];
    const model = data.models[answers.m[n]];
    const outcome = data.outcomes[answers.o[n]];
    const failure = answers.f[n] < 0 ? "" : data.failures[answers.f[n]];
    const find = (name) => node.querySelector(name);
    node.dataset.outcome = outcome;
    find(".card-name").textContent = model.label;
    find(".dot").style.setProperty("--c", model.colour);
    find(".card-iou").textContent = answers.v[n] === null ? "–" : answers.v[n].toFixed(3);
    find(".expression").textContent = sample.x;
    find(".chip").textContent = failure ? failure.replaceAll("_", " ") : data.outcomeWords[outcome] || outcome;
    if (failure) find(".chip").title = data.failureWords[failure] || "";
    find(".excerpt").textContent = answers.e[n];
    if (answers.c[n] !== null) {
      const change = document.createElement("span");
      change.className = "change";
      change.textContent = (answers.c[n] < 0 ? "−" : "+") + Math.abs(answers.c[n]).toFixed(3);
      find(".card-verdict").append(change);
    }
    if (sample.p === undefined) {
      find(".layers").replaceWith(notDrawn());
    } else {
      find(".card-link").href = "samples/" + sample.p + ".html#model-" + answers.m[n];
      find(".photo").src = sample.i;
      if (answers.z[n] && !state.whole) find(".zoomed").style.transform = answers.z[n];
      const layer = layerFile(n, state);
      if (layer) find(".mask").src = layer;
      else find(".mask").remove();
    }
    return node;
  }

  function notDrawn() {
    const node = document.createElement("span");
    node.className = "not-drawn";
    node.textContent = "not drawn";
    return node;
  }

  function draw(state) {
    const size = data.cardsPerPage;
    const pages = Math.max(1, Math.ceil(found.length / size));
    page = Math.min(page, pages - 1);
    wall.replaceChildren(...found.slice(page * size, (page + 1) * size).map((n) => card(n, state)));
    document.getElementById("count").textContent =
      found.length.toLocaleString("en") + " of " + total.toLocaleString("en") + " answers";
    document.getElementById("page").textContent = "page " + (page + 1) + " of " + pages;
    document.getElementById("before").disabled = page === 0;
    document.getElementById("after").disabled = page >= pages - 1;
    rememberForSamples(state);
  }

  function update(options) {
    const state = read();
    found = select(state);
    if (options && options.first) page = 0;
    draw(state);
    if (!options || !options.quiet) keepAddress(state);
  }

  function turn(step) {
    page = Math.max(0, page + step);
    const state = read();
    draw(state);
    keepAddress(state);
    document.getElementById("gallery").scrollIntoView();
  }

  // ---- keys -----------------------------------------------------------------------------------------
  function move(step) {
    const links = Array.from(wall.querySelectorAll(".card-link"));
    const at = links.indexOf(document.activeElement);
    const next = links[at < 0 ? 0 : at + step];
    if (next) next.focus();
  }

  function onCard() {
    return wall.contains(document.activeElement);
  }

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) return;
    if (event.key === "/") {
      event.preventDefault();
      form.elements.q.focus();
    } else if (event.key === "[") turn(-1);
    else if (event.key === "]") turn(1);
    else if (event.key === "d") {
      form.elements.layer.value = form.elements.layer.value === "difference" ? "" : "difference";
      update();
    } else if (onCard() && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      event.preventDefault();
      move(event.key === "ArrowRight" ? 1 : -1);
    }
  });

  form.addEventListener("input", () => update({ first: true }));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => update({ first: true })));
  document.getElementById("before").addEventListener("click", () => turn(-1));
  document.getElementById("after").addEventListener("click", () => turn(1));
  window.addEventListener("hashchange", function () {
    if (!fromAddress()) return;
    update({ quiet: true });
    document.getElementById("gallery").scrollIntoView();
  });

  labels();
  const linked = fromAddress();
  update({ quiet: true });
  if (linked) document.getElementById("gallery").scrollIntoView();
})();
