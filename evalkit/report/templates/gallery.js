"use strict";
// The gallery: filter, sort, page. Its whole state stands in the address bar (#gallery?model=...), so a
// view can be shared. Text from models reaches the page through textContent only.
(function () {
  const data = window.EVALKIT_INDEX;
  const form = document.getElementById("filters");
  const wall = document.getElementById("wall");
  const cardTemplate = document.getElementById("card");
  const answers = data.answers;
  const total = answers.s.length;
  const fields = ["q", "model", "outcome", "failure", "format", "tag", "dataset", "strict", "min", "max", "sort", "whole"];
  let page = 0;
  let found = [];
  let texts = null; // beginnings of the raw answers in small letters, once the search was used
  let expressions = null;

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
    if (given.layers !== undefined) EVALKIT.layers.fromText(given.layers);
    page = Math.max(0, (parseInt(given.page, 10) || 1) - 1);
    return true;
  }

  function address(state) {
    const query = new URLSearchParams();
    for (const name of fields) if (state[name]) query.set(name, state[name]);
    if (!EVALKIT.layers.isUsual()) query.set("layers", EVALKIT.layers.text());
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
    if (state.q) list.push(textTest(state.q.toLowerCase()));
    return list;
  }

  function textTest(text) {
    if (expressions === null) expressions = data.samples.map((s) => (s.x + "\n" + s.id).toLowerCase());
    const samples = expressions.map((words) => words.includes(text));
    return (n) => samples[answers.s[n]] || (texts !== null && texts[n].includes(text));
  }

  // Answers are searched by their beginnings, which are loaded when the search is first used.
  async function loadTexts() {
    if (texts !== null) return;
    const loaded = await EVALKIT.member(data.texts, 0);
    texts = loaded.map((text) => text.toLowerCase());
    if (form.elements.q.value) update({ quiet: true });
  }

  function sortKey(name) {
    const sign = name.startsWith("-") ? -1 : 1;
    const of = (column) => (n) => (column[n] === null ? 2 : sign * column[n]);
    if (name === "iou" || name === "-iou") return of(answers.v);
    if (name === "change" || name === "-change") return of(answers.c);
    if (name === "spread") return (n) => -data.samples[answers.s[n]].s;
    return null;
  }

  // Answers stand in the run's order, which a sort that keeps equals in place leaves as the second key.
  function select(state) {
    const all = tests(state);
    const kept = [];
    for (let n = 0; n < total; n += 1) if (all.every((test) => test(n))) kept.push(n);
    const key = sortKey(state.sort);
    if (key === null) return kept;
    const keys = new Float64Array(total);
    for (const n of kept) keys[n] = key(n);
    return kept.sort((a, b) => keys[a] - keys[b]);
  }

  // ---- cards ----------------------------------------------------------------------------------------
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
    const address = new URLSearchParams({ dataset: data.datasets[sample.d], id: sample.id, model: model.label });
    find(".card-link").href = "sample.html#" + address;
    node.dataset.answer = n;
    paint(find(".layers"), answers.s[n], answers.m[n], (drawn) => {
      find(".excerpt").textContent = (drawn.a[answers.m[n]] || [])[2] || "";
    });
    if (answers.c[n] !== null) {
      const change = document.createElement("span");
      change.className = "change";
      const size = Math.abs(answers.c[n]).toFixed(3);
      change.textContent = (Number(size) === 0 ? "" : answers.c[n] < 0 ? "−" : "+") + size;
      find(".card-verdict").append(change);
    }
    return node;
  }

  // Draw one answer into a frame once its chunks are there.
  async function paint(frame, number, model, then) {
    let sample = null;
    try {
      sample = await EVALKIT.pictures.load(data, number);
    } catch {
      // the page says so once, at its top
    }
    if (sample === null) {
      frame.classList.add("not-drawn");
      frame.textContent = "not on disk";
      return;
    }
    const holder = document.createElement("span");
    holder.className = "zoomed";
    if (!form.elements.whole.checked) holder.style.transform = EVALKIT.pictures.cardZoom(sample, model);
    holder.append(EVALKIT.pictures.svgOf(sample, model));
    frame.replaceChildren(holder);
    if (then) then(sample.drawn);
  }

  function draw(state) {
    const size = data.cardsPerPage;
    const pages = Math.max(1, Math.ceil(found.length / size));
    page = Math.min(page, pages - 1);
    const links = cardLinks();
    const at = links.indexOf(document.activeElement);
    wall.replaceChildren(...found.slice(page * size, (page + 1) * size).map((n) => card(n, state)));
    if (at >= 0) focusCard(at);
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
  function cardLinks() {
    return Array.from(wall.querySelectorAll(".card-link"));
  }

  function focusCard(at) {
    const links = cardLinks();
    if (links.length) links[Math.max(0, Math.min(at, links.length - 1))].focus();
  }

  // From card to card, and over the end of a page to the next or the one before.
  function move(step) {
    const links = cardLinks();
    const to = links.indexOf(document.activeElement) + step;
    if (links[to]) links[to].focus();
    else if (to < 0 && page > 0) {
      turn(-1);
      focusCard(data.cardsPerPage - 1);
    } else if (to >= links.length && (page + 1) * data.cardsPerPage < found.length) {
      turn(1);
      focusCard(0);
    }
  }

  function onCard() {
    return wall.contains(document.activeElement);
  }

  // The card that was left for its own page has the focus again on the way back.
  function focusLeftCard() {
    try {
      const left = sessionStorage.getItem("evalkit-card");
      const node = left === null ? null : wall.querySelector(`[data-answer="${Number(left)}"] .card-link`);
      sessionStorage.removeItem("evalkit-card");
      if (node) node.focus();
      return node !== null;
    } catch {
      return false; // without storage the gallery is shown from its head
    }
  }

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) return;
    if (event.key === "/") {
      event.preventDefault();
      form.elements.q.focus();
    } else if (event.key === "[") turn(-1);
    else if (event.key === "]") turn(1);
    else if (event.key === "d") EVALKIT.layers.togglePreset("difference");
    else if (event.key === "p") EVALKIT.layers.togglePreset("photograph");
    else if (onCard() && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      event.preventDefault();
      move(event.key === "ArrowRight" ? 1 : -1);
    }
  });

  form.addEventListener("input", () => update({ first: true }));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => update({ first: true })));
  form.elements.q.addEventListener("focus", loadTexts);
  document.getElementById("before").addEventListener("click", () => turn(-1));
  document.getElementById("after").addEventListener("click", () => turn(1));
  wall.addEventListener("click", function (event) {
    const left = event.target.closest(".card");
    try {
      if (left) sessionStorage.setItem("evalkit-card", left.dataset.answer);
    } catch {
      // the way back then leads to the gallery's head
    }
  });
  window.addEventListener("hashchange", function () {
    if (!fromAddress()) return;
    update({ quiet: true });
    show();
  });

  function show() {
    document.getElementById("gallery").scrollIntoView();
    document.getElementById("gallery-title").focus({ preventScroll: true });
  }

  labels();
  EVALKIT.layers.start(() => keepAddress(read()));
  const linked = fromAddress();
  if (form.elements.q.value) loadTexts();
  update({ quiet: true });
  if (linked && !focusLeftCard()) show();
  for (const frame of document.querySelectorAll("#audit .layers")) {
    paint(frame, Number(frame.dataset.sample), Number(frame.dataset.model));
  }
})();
