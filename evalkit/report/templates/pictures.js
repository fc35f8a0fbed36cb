"use strict";
// Pictures of answers: the photograph and, over it, layers that are drawn from run lengths and can each be turned off.
EVALKIT.layers = (function () {
  const all = ["photograph", "truth", "prediction", "boxes", "hit", "missed", "false"];
  const presets = {
    usual: ["photograph", "truth", "prediction", "boxes"],
    difference: ["photograph", "hit", "missed", "false"],
    photograph: ["photograph"],
  };
  let listener = () => {};

  const text = () => all.filter(isShown).join(",");
  const shown = () => (document.documentElement.dataset.layers || "").split(" ");

  function isShown(name) {
    return shown().includes(name);
  }

  function set(names) {
    apply(names);
    listener();
  }

  function apply(names) {
    document.documentElement.dataset.layers = all.filter((name) => names.includes(name)).join(" ");
    for (const button of document.querySelectorAll("button[data-layer]")) {
      button.setAttribute("aria-pressed", String(isShown(button.dataset.layer)));
    }
    try {
      sessionStorage.setItem("evalkit-layers", text());
    } catch {
      // the choice then lasts as long as the page
    }
    EVALKIT.pictures.complete(document);
  }

  function toggle(name) {
    set(isShown(name) ? shown().filter((other) => other !== name) : [...shown(), name]);
  }

  // Turn a preset on, or back to the usual layers where it is on.
  function togglePreset(name) {
    set(presets[text() === presets[name].join(",") ? "usual" : name]);
  }

  // `onChange` is called when the reader changes what is shown.
  function start(onChange) {
    listener = onChange || listener;
    for (const button of document.querySelectorAll("button[data-layer]")) {
      button.addEventListener("click", () => toggle(button.dataset.layer));
    }
    for (const button of document.querySelectorAll("button[data-preset]")) {
      button.addEventListener("click", () => togglePreset(button.dataset.preset));
    }
    let kept = null;
    try {
      kept = sessionStorage.getItem("evalkit-layers");
    } catch {
      // then the usual layers are shown
    }
    apply(kept === null ? presets.usual : kept.split(","));
  }

  const fromText = (given) => apply(given.split(","));
  const isUsual = () => text() === presets.usual.join(",");
  return { start, togglePreset, isShown, isUsual, text, fromText };
})();

EVALKIT.pictures = (function () {
  const masks = EVALKIT.masks;
  const makers = new WeakMap(); // a path that was not drawn yet -> what makes it
  const CARD_ASPECT = 4 / 3;
  const LARGEST_ZOOM = 3;
  let count = 0;

  function element(name, attributes) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  }

  // The pictures of one sample: `drawn` as its chunk has it, `photograph` an address or null.
  function sampleOf(drawn, photograph) {
    const width = drawn.w || 4;
    const height = drawn.h || 3;
    const grid = { height: Math.ceil(height / drawn.k), cell: drawn.k, widthPx: width, heightPx: height };
    const truth = masks.spansOf(drawn.t, grid.height);
    return { drawn, photograph, width, height, grid, truth };
  }

  // An SVG of one answer; `model`: its number, null for the truth alone.
  function svgOf(sample, model) {
    const { width, height, grid, truth, drawn } = sample;
    const [mask, boxes] = (model !== null && drawn.a[model]) || [null, []];
    const predicted = masks.spansOf(mask, grid.height);
    const id = "missed-" + (count += 1);
    const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, class: "picture", "aria-hidden": "true", focusable: "false" });
    const path = (name, extra, spans) => {
      const node = element("path", { class: "layer layer-" + name, "fill-rule": "evenodd", ...extra });
      makers.set(node, () => masks.outline(spans(), grid));
      return node;
    };
    if (sample.photograph) {
      svg.append(element("image", { class: "layer layer-photograph", width, height, preserveAspectRatio: "none", href: sample.photograph }));
    }
    svg.append(path("ignored", {}, () => masks.spansOf(drawn.g, grid.height)));
    if (model !== null) {
      svg.append(
        stripes(id, Math.max(width, height) / 130),
        path("hit", {}, () => masks.both(predicted, truth)),
        path("missed", { fill: `url(#${id})` }, () => masks.without(truth, predicted)),
        path("false", {}, () => masks.without(predicted, truth)),
        path("prediction", {}, () => predicted),
      );
      for (const [x0, y0, x1, y1] of boxes) {
        svg.append(element("rect", { class: "layer layer-boxes", x: x0, y: y0, width: x1 - x0, height: y1 - y0 }));
      }
    }
    svg.append(path("truth casing", {}, () => truth), path("truth", {}, () => truth));
    complete(svg);
    return svg;
  }

  // Missed pixels are striped, so that no colour vision is needed to tell them.
  function stripes(id, step) {
    const pattern = element("pattern", { id, width: step * 2, height: step * 2, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    pattern.append(element("rect", { class: "stripe-ground", width: step * 2, height: step * 2 }));
    pattern.append(element("rect", { class: "stripe", width: step, height: step * 2 }));
    return pattern;
  }

  // Make the outlines of the layers that are shown, those of others when they are turned on.
  function complete(within) {
    for (const node of within.querySelectorAll("path.layer:not([d])")) {
      const name = node.classList[1].slice("layer-".length);
      if (name === "ignored" || EVALKIT.layers.isShown(name)) {
        node.setAttribute("d", makers.get(node)());
        makers.delete(node);
      }
    }
  }

  // The box of the truth and one answer in pixels: [x0, y0, x1, y1], null where there is none.
  function focusOf(sample, model) {
    const [mask, boxes] = (model !== null && sample.drawn.a[model]) || [null, []];
    const cell = sample.drawn.k;
    const found = [sample.drawn.t, mask].filter(Boolean).map(([x, y, w, h]) => [x * cell, y * cell, (x + w) * cell, (y + h) * cell]);
    const shown = found.length ? found : boxes;
    if (!shown.length) return null;
    const edge = (place, pick) => pick(...shown.map((box) => box[place]));
    return [edge(0, Math.min), edge(1, Math.min), edge(2, Math.max), edge(3, Math.max)];
  }

  // The CSS transform that enlarges a card until what matters fills about half of it, "" where it shows everything.
  function cardZoom(sample, model) {
    const focus = focusOf(sample, model);
    if (focus === null) return "";
    const [x0, y0, x1, y1] = focus;
    const { width, height } = sample;
    const frameWidth = Math.max(width, height * CARD_ASPECT);
    const frameHeight = Math.max(height, width / CARD_ASPECT);
    const fills = Math.max((x1 - x0) / frameWidth, (y1 - y0) / frameHeight);
    const scale = Math.min(LARGEST_ZOOM, Math.max(1, 0.55 / fills));
    if (scale === 1) return "";
    const most = (scale - 1) / 2;
    const part = (shift) => (100 * Math.max(-most, Math.min(most, shift))).toFixed(2) + "%";
    const shiftX = (-scale * ((x0 + x1 - width) / 2)) / frameWidth;
    const shiftY = (-scale * ((y0 + y1 - height) / 2)) / frameHeight;
    return `translate(${part(shiftX)},${part(shiftY)}) scale(${scale.toFixed(3)})`;
  }

  // Load what one sample is drawn from; null where the run folder does not hold the sample.
  async function load(index, number) {
    const entry = index.samples[number];
    if (entry.c < 0) return null;
    const [drawn, photograph] = await Promise.all([
      EVALKIT.member(index.chunks[entry.c], 0),
      EVALKIT.photograph(index, entry.i),
    ]);
    return sampleOf(drawn[number], photograph);
  }

  function detailsOf(index, number) {
    return EVALKIT.member(index.chunks[index.samples[number].c], 1).then((all) => all[number]);
  }

  return { load, detailsOf, svgOf, complete, cardZoom };
})();
