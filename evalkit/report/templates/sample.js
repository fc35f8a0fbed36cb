"use strict";
// One sample's page (#dataset=...&id=...&model=...): every model side by side, zoom and pan in step, blinking.
// Text from models reaches the page through textContent only.
(function () {
  const data = window.EVALKIT_INDEX;
  const find = (id) => document.getElementById(id);
  const RAW_START = 700;
  const BLINK_MS = 800;
  const MOST_ZOOM = 40;
  let current = -1; // number of the sample that is shown
  let view = { width: 4, height: 3, scale: 1, x: 0, y: 0 };
  let copied = null;
  let timer = 0;
  let front = 0;

  // ---- what is shown --------------------------------------------------------------------------------
  function addressOf(number, model) {
    const sample = data.samples[number];
    const query = new URLSearchParams({ dataset: data.datasets[sample.d], id: sample.id });
    if (model) query.set("model", model);
    return "#" + query;
  }

  function numberOf(query) {
    const dataset = data.datasets.indexOf(query.get("dataset"));
    return data.samples.findIndex((sample) => sample.d === dataset && sample.id === query.get("id"));
  }

  async function show() {
    const query = new URLSearchParams(location.hash.slice(1));
    const number = query.has("id") ? numberOf(query) : 0;
    current = number;
    stopBlinking();
    find("panels").replaceChildren();
    if (number < 0) {
      find("expression").textContent = "No such sample";
      find("about").textContent = "This report has no sample of that name.";
      return;
    }
    head(number);
    let sample = null;
    let details = null;
    try {
      sample = await EVALKIT.pictures.load(data, number);
      if (sample) details = await EVALKIT.pictures.detailsOf(data, number);
    } catch {
      return; // the page says so at its top
    }
    if (current !== number) return;
    if (sample === null) note("samples.parquet of the run does not hold this sample: nothing can be drawn.");
    else fill(number, sample, details, query.get("model"));
  }

  function head(number) {
    const entry = data.samples[number];
    document.title = entry.x;
    find("expression").textContent = entry.x;
    find("place").textContent = data.datasets[entry.d] + " · " + entry.id;
    find("note").hidden = true;
    for (const [rel, other] of [["prev", number - 1], ["next", number + 1]]) {
      const link = document.querySelector(`a[rel=${rel}]`);
      link.hidden = other < 0 || other >= data.samples.length;
      if (!link.hidden) link.href = addressOf(other);
    }
  }

  function note(text) {
    find("note").textContent = text;
    find("note").hidden = false;
  }

  function fill(number, sample, details, model) {
    const entry = data.samples[number];
    const { drawn } = sample;
    if (details.split) find("place").textContent = [data.datasets[entry.d], details.split, entry.id].join(" · ");
    about(drawn, details);
    const missing = data.photographs.missing[entry.i];
    if (missing) note("The photograph could not be read, so masks are drawn on a plain ground: " + missing);
    else if (drawn.note) note("The annotated mask could not be read: " + drawn.note);
    find("grid").textContent =
      drawn.k > 1 ? `Masks are shown on a grid of ${drawn.k} × ${drawn.k} pixels a cell, set where more than half of it is.` : "";
    view = { width: sample.width, height: sample.height, scale: 1, x: 0, y: 0 };
    const panels = [truthPanel(sample, details), ...details.answers.map((answer) => answerPanel(number, sample, details, answer))];
    find("panels").replaceChildren(...panels);
    copied = json(number, drawn, details);
    const target = panels.find((panel) => panel.dataset.model === model);
    if (target) target.classList.add("target");
  }

  function about(drawn, details) {
    const parts = [`${drawn.w} × ${drawn.h} px`];
    if (!details.objects) parts.push("nothing in the image fits");
    else parts.push(`${details.objects} object${details.objects === 1 ? "" : "s"}, ${details.area.toLocaleString("en")} px`);
    find("about").replaceChildren(parts.join(" · "));
    for (const [name, value] of details.tags) {
      const link = document.createElement("a");
      link.href = "index.html#gallery?" + new URLSearchParams({ tag: name + "=" + value });
      link.textContent = name + ": " + value;
      find("about").append(" · ", link);
    }
  }

  function panelOf(name, sample, number, words) {
    const node = find("panel").content.firstElementChild.cloneNode(true);
    node.querySelector(".panel-name").textContent = name;
    const stage = node.querySelector(".stage");
    stage.style.aspectRatio = sample.width + " / " + sample.height;
    stage.setAttribute("aria-label", name + ": " + words + ". Zoom with plus and minus, pan with the arrows");
    stage.append(EVALKIT.pictures.svgOf(sample, number));
    listen(stage);
    return node;
  }

  function truthPanel(sample, details) {
    const words = details.objects ? "as annotated" : "nothing is marked: the right answer is that nothing fits";
    const node = panelOf("Truth", sample, null, words);
    node.querySelector(".chip").textContent = words;
    for (const name of [".dot", ".failure", ".error", ".facts", ".objects", ".answer", ".request"]) node.querySelector(name).remove();
    return node;
  }

  function answerPanel(number, sample, details, answer) {
    const model = data.models[answer.model];
    const { row } = answer;
    const verdict = data.outcomeWords[row.outcome] || row.outcome;
    const node = panelOf(model.label, sample, answer.model, verdict);
    const part = (name) => node.querySelector(name);
    node.dataset.model = model.label;
    node.dataset.outcome = row.outcome;
    part(".dot").style.setProperty("--c", model.colour);
    part(".panel-iou").textContent = row.quality === null ? "–" : row.quality.toFixed(3);
    part(".chip").textContent = verdict;
    if (row.strict) part(".verdict-line").append(chip("as asked"));
    part(".failure").textContent = row.failure ? (data.failureWords[row.failure] || "") + " (" + row.failure + ")" : "";
    part(".error").textContent = answer.error || "";
    facts(part("dl.facts"), answer.facts);
    items(part(".objects"), answer.items);
    raw(part(".answer"), answer);
    const prompt = part(".request pre");
    if (answer.prompt === null) prompt.remove();
    else prompt.textContent = details.prompts[answer.prompt];
    facts(part(".request dl"), model.request);
    return node;
  }

  function chip(text) {
    const node = document.createElement("span");
    node.className = "chip chip-good";
    node.textContent = text;
    return node;
  }

  function facts(list, pairs) {
    for (const [name, value] of pairs) {
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      text.textContent = value;
      list.append(term, text);
    }
  }

  function items(node, found) {
    if (!found.length) return node.remove();
    node.querySelector("summary").textContent = found.length + (found.length === 1 ? " item" : " items");
    for (const item of found) {
      const line = document.createElement("li");
      const parts = [item.label || "no label", item.box && "[" + item.box.join(", ") + "]", item.format, ...item.repairs, item.failure];
      line.textContent = parts.filter(Boolean).join("; ");
      node.querySelector("ol").append(line);
    }
  }

  function raw(node, answer) {
    if (answer.raw === null) return node.remove();
    const [start, whole] = node.querySelectorAll("pre");
    start.textContent = answer.raw.slice(0, RAW_START) + (answer.raw.length > RAW_START ? "…" : "");
    node.querySelector(".raw-note").textContent = answer.rawNote;
    if (answer.raw.length <= RAW_START) return node.querySelector(".whole").remove();
    node.querySelector("summary").textContent = "All " + answer.raw.length.toLocaleString("en") + " characters";
    whole.textContent = answer.raw;
  }

  function json(number, drawn, details) {
    const entry = data.samples[number];
    return {
      dataset: data.datasets[entry.d],
      sample_id: entry.id,
      expression: entry.x,
      size: [drawn.h, drawn.w],
      no_target: details.objects === 0,
      tags: Object.fromEntries(details.tags),
      answers: details.answers.map((answer) => ({
        ...answer.row,
        model: data.models[answer.model].label,
        prompt: answer.prompt === null ? null : details.prompts[answer.prompt],
        raw: answer.raw,
        ...(answer.rawNote ? { raw_note: answer.rawNote } : {}),
      })),
    };
  }

  // ---- zoom and pan, in step on every picture -------------------------------------------------------
  function place() {
    const width = view.width / view.scale;
    const height = view.height / view.scale;
    view.x = Math.max(0, Math.min(view.width - width, view.x));
    view.y = Math.max(0, Math.min(view.height - height, view.y));
    const box = [view.x, view.y, width, height].join(" ");
    for (const stage of document.querySelectorAll(".stage")) {
      stage.firstElementChild.setAttribute("viewBox", box);
      stage.classList.toggle("enlarged", view.scale > 1);
    }
  }

  // `at`: the point that stays where it is, in parts of the picture.
  function zoom(factor, at = [0.5, 0.5]) {
    const scale = Math.max(1, Math.min(MOST_ZOOM, view.scale * factor));
    view.x += (view.width / view.scale - view.width / scale) * at[0];
    view.y += (view.height / view.scale - view.height / scale) * at[1];
    view.scale = scale;
    place();
  }

  function pan(x, y) {
    view.x += (x * view.width) / view.scale;
    view.y += (y * view.height) / view.scale;
    place();
  }

  function partOf(stage, event) {
    const frame = stage.getBoundingClientRect();
    return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
  }

  function listen(stage) {
    const fingers = new Map();
    stage.addEventListener("wheel", (event) => {
      if (view.scale === 1 && event.deltaY > 0) return; // nothing to leave: the page scrolls
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 400), partOf(stage, event));
    }, { passive: false });
    stage.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, partOf(stage, event));
      if (view.scale > 1) stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", (event) => {
      if (!fingers.has(event.pointerId)) return;
      const before = Array.from(fingers.values());
      fingers.set(event.pointerId, partOf(stage, event));
      const after = Array.from(fingers.values());
      const middle = (points, axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
      if (after.length === 2) {
        const apart = ([one, two]) => Math.hypot(one[0] - two[0], one[1] - two[1]) || 1e-6;
        zoom(apart(after) / apart(before), [middle(after, 0), middle(after, 1)]);
      }
      pan(middle(before, 0) - middle(after, 0), middle(before, 1) - middle(after, 1));
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      stage.addEventListener(name, (event) => fingers.delete(event.pointerId));
    }
  }

  // ---- blinking between models ----------------------------------------------------------------------
  function answers() {
    return Array.from(document.querySelectorAll(".panel[data-model]"));
  }

  function bring(number) {
    const panels = answers();
    if (!panels.length) return;
    front = (number + panels.length) % panels.length;
    document.body.classList.add("blinking");
    panels.forEach((panel, at) => panel.classList.toggle("front", at === front));
    find("blink").setAttribute("aria-pressed", "true");
  }

  function stopBlinking() {
    clearInterval(timer);
    timer = 0;
    document.body.classList.remove("blinking");
    find("blink").setAttribute("aria-pressed", "false");
  }

  // Where the reader asked for less motion, models change by hand alone.
  function blink() {
    if (document.body.classList.contains("blinking")) return stopBlinking();
    bring(0);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) timer = setInterval(() => bring(front + 1), BLINK_MS);
  }

  function step() {
    clearInterval(timer);
    timer = 0;
    bring(document.body.classList.contains("blinking") ? front + 1 : 0);
  }

  // ---- copying, keys --------------------------------------------------------------------------------
  async function copy() {
    const text = JSON.stringify(copied, null, 2);
    const said = find("copied");
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
    if (link && !link.hidden) location.href = link.href;
  }

  function arrow(x, y, otherwise) {
    const onPicture = document.activeElement && document.activeElement.closest(".stage");
    if (onPicture && view.scale > 1) pan(x * 0.1, y * 0.1);
    else if (otherwise) follow(otherwise);
    else return false;
    return true;
  }

  const whole = () => zoom(1 / view.scale);
  const keys = {
    ArrowLeft: () => arrow(-1, 0, "a[rel=prev]"),
    ArrowRight: () => arrow(1, 0, "a[rel=next]"),
    ArrowUp: () => arrow(0, -1),
    ArrowDown: () => arrow(0, 1),
    "+": () => zoom(1.4),
    "=": () => zoom(1.4),
    "-": () => zoom(1 / 1.4),
    0: whole,
    b: blink,
    n: step,
    d: () => EVALKIT.layers.togglePreset("difference"),
    p: () => EVALKIT.layers.togglePreset("photograph"),
    g: () => follow("#back"),
    c: copy,
  };

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    if (event.target.closest("pre, input, textarea, select")) return;
    if (keys[event.key]() !== false && event.key.startsWith("Arrow")) event.preventDefault();
  });
  const buttons = { in: () => zoom(1.4), out: () => zoom(1 / 1.4), whole };
  for (const button of document.querySelectorAll("button[data-zoom]")) {
    button.addEventListener("click", buttons[button.dataset.zoom]);
  }
  find("blink").addEventListener("click", blink);
  find("step").addEventListener("click", step);
  find("copy").addEventListener("click", copy);
  window.addEventListener("hashchange", show);

  // Back to the gallery as it was left: its address was kept when the card was followed.
  try {
    const left = sessionStorage.getItem("evalkit-gallery");
    if (left && left.startsWith("#gallery")) find("back").hash = left;
  } catch {
    // without storage the link leads to the unfiltered gallery
  }
  EVALKIT.layers.start();
  show();
})();
