"use strict";
// Masks as sorted spans on a grid that is read column by column: [start, end, start, end, ...], each within one
// column. Differences and outlines are made from these, so they are exact on the grid at any zoom.
EVALKIT.masks = (function () {
  // Run lengths of COCO's compressed coding (cocodataset/cocoapi common/maskApi.c): groups of 5 bits, lowest first,
  // 48 added; bit 5 set where more follow, the highest group signed; from the fourth on, the difference to the one
  // two before.
  function runsOf(text) {
    const runs = [];
    for (let at = 0; at < text.length; ) {
      let value = 0;
      let shift = 0;
      let group;
      do {
        group = text.charCodeAt(at) - 48;
        value += (group & 31) * 2 ** shift;
        shift += 5;
        at += 1;
      } while (group & 32 && at < text.length);
      if (group & 16) value -= 2 ** shift;
      runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
    }
    return runs;
  }

  // `mask`: [x0, y0, width, height, run lengths of that crop], null for none; `height`: cells of a column of the grid.
  function spansOf(mask, height) {
    const spans = [];
    if (!mask) return spans;
    const [x0, y0, , rows, text] = mask;
    let at = 0;
    runsOf(text).forEach((run, place) => {
      const end = at + run;
      while (place % 2 && at < end) {
        const column = Math.floor(at / rows);
        const stop = Math.min(end, (column + 1) * rows);
        const base = (x0 + column) * height + y0 - column * rows;
        spans.push(base + at, base + stop);
        at = stop;
      }
      at = end;
    });
    return spans;
  }

  function both(a, b) {
    const spans = [];
    for (let i = 0, k = 0; i < a.length && k < b.length; ) {
      const start = Math.max(a[i], b[k]);
      const end = Math.min(a[i + 1], b[k + 1]);
      if (start < end) spans.push(start, end);
      if (a[i + 1] < b[k + 1]) i += 2;
      else k += 2;
    }
    return spans;
  }

  function without(a, b) {
    const spans = [];
    for (let i = 0, k = 0; i < a.length; i += 2) {
      let start = a[i];
      while (k < b.length && b[k + 1] <= start) k += 2;
      for (let m = k; m < b.length && b[m] < a[i + 1]; m += 2) {
        if (b[m] > start) spans.push(start, b[m]);
        start = Math.max(start, b[m + 1]);
      }
      if (start < a[i + 1]) spans.push(start, a[i + 1]);
    }
    return spans;
  }

  // The border of the spans as a path in pixels of the image: edges with the inside at their right, linked to loops.
  function outline(spans, grid) {
    const { height, cell, widthPx, heightPx } = grid;
    const corners = height + 1;
    const next = new Map();
    const link = (x, y, toX, toY) => {
      const from = x * corners + y;
      const known = next.get(from);
      if (known) known.push(toX * corners + toY);
      else next.set(from, [toX * corners + toY]);
    };
    const each = (list, visit) => {
      for (let i = 0; i < list.length; i += 2) {
        const x = Math.floor(list[i] / height);
        visit(x, list[i] - x * height, list[i + 1] - x * height);
      }
    };
    const shifted = spans.map((at) => at + height);
    each(spans, (x, top, bottom) => {
      link(x, top, x + 1, top);
      link(x + 1, bottom, x, bottom);
    });
    each(without(shifted, spans), (x, top, bottom) => link(x, top, x, bottom));
    each(without(spans, shifted), (x, top, bottom) => link(x, bottom, x, top));
    const parts = [];
    for (const [start, targets] of next) while (targets.length) parts.push(loop(start, next, corners, grid));
    return parts.join("");

    function loop(from, edges, count) {
      const across = (x) => Math.min(x * cell, widthPx);
      const down = (y) => Math.min(y * cell, heightPx);
      const steps = ["M" + across(Math.floor(from / count)) + " " + down(from % count)];
      let at = from;
      let wasAcross = null;
      do {
        const to = edges.get(at).pop();
        const isAcross = to % count === at % count;
        if (isAcross === wasAcross) steps.pop();
        steps.push(isAcross ? "H" + across(Math.floor(to / count)) : "V" + down(to % count));
        wasAcross = isAcross;
        at = to;
      } while (at !== from);
      return steps.join("") + "z";
    }
  }

  return { runsOf, spansOf, both, without, outline };
})();
