"use strict";
// Data that a page loads on demand from disk. A page opened from disk may not fetch, but it may load scripts: each
// chunk is one that calls EVALKIT.put with its own name. What was used longest ago is let go, so that a page of
// any length keeps to its share of memory.
window.EVALKIT = (function () {
  const MOST_CHARACTERS = 48e6; // of base64 held at a time; unpacked JSON is about twice that of its chunk
  const held = new Map(); // name -> {members, unpacked, size}, the one used last at the end
  const coming = new Map(); // name -> {promise, resolve}
  let size = 0;

  function put(name, members) {
    const entry = { members, unpacked: [], size: members.reduce((sum, text) => sum + (text ? text.length : 0), 0) };
    held.set(name, entry);
    size += entry.size;
    for (const [oldest, other] of held) {
      if (size <= MOST_CHARACTERS || oldest === name) break;
      held.delete(oldest);
      size -= other.size;
    }
    if (coming.has(name)) coming.get(name).resolve(entry);
  }

  function load(name) {
    const entry = held.get(name);
    if (entry) {
      held.delete(name);
      held.set(name, entry);
      return Promise.resolve(entry);
    }
    if (coming.has(name)) return coming.get(name).promise;
    const wait = {};
    coming.set(name, wait);
    wait.promise = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const done = () => {
        coming.delete(name);
        script.remove();
      };
      wait.resolve = resolve;
      script.src = "data/" + name + ".js";
      script.addEventListener("load", done);
      script.addEventListener("error", () => {
        done();
        sayLost();
        reject(new Error("no chunk " + name));
      });
      document.head.append(script);
    });
    return wait.promise;
  }

  function sayLost() {
    if (document.getElementById("lost")) return;
    const banner = document.createElement("p");
    banner.id = "lost";
    banner.className = "banner banner-partial";
    banner.setAttribute("role", "alert");
    banner.textContent =
      "A part of this page is no longer on disk: the report was written anew since it was opened, or moved without its folder data. Reload it.";
    document.body.prepend(banner);
  }

  // One JSON value of a chunk.
  async function member(name, place) {
    const entry = await load(name);
    if (!entry.unpacked[place]) entry.unpacked[place] = unpack(entry.members[place]);
    return entry.unpacked[place];
  }

  function unpack(text) {
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length);
    for (let n = 0; n < letters.length; n += 1) bytes[n] = letters.charCodeAt(n);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
  }

  // The address of a photograph, null where it could not be read.
  async function photograph(index, number) {
    const [chunk, place] = index.photographs.places[number] || [-1];
    if (chunk < 0) return null;
    return (await load(index.photographs.chunks[chunk])).members[place];
  }

  const heldCharacters = () => size;
  return { put, member, photograph, heldCharacters };
})();
