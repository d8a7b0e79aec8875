// The canvas: what a reader does becomes a change of the model or one question to the server; answers become facts.
window.dash_clientside = window.dash_clientside || {};
window.canvasPage = (() => {
  "use strict";
  const M = () => window.canvasModel;
  const V = () => window.canvasView;
  const P = () => window.canvasPanels;
  const WAIT_MS = 5000;
  const ASK_AGAIN_MS = 120000;

  let model = null;
  let result = null;
  let state = null;
  let asked = 0;
  let looking = null; // what was typed into the search box on another page; it stays in this window's memory

  const fresh = () => ({
    menus: new Map(), pages: new Map(), filters: new Map(), since: "none", sinceAt: {}, lasso: false, table: false,
    scene: null, version: null, name: "", sentence: "", found: [], at: -1, waiting: new Map(),
  });

  // --- questions and answers ---------------------------------------------------------------------------

  const inFlight = new Map();
  function ask(kind, data) {
    asked += 1;
    const n = asked;
    state.waiting.set(kind, n);
    busy();
    setTimeout(() => { if (state.waiting.get(kind) === n) { state.waiting.delete(kind); busy(); } }, WAIT_MS);
    window.dash_clientside.set_props(`canvas-ask-${kind}`, { data: { n, ...data } });
    return new Promise((done) => inFlight.set(n, { done, kind, data, at: performance.now() }));
  }

  // Neo4j was away and is back: what was asked meanwhile is asked again, under the same numbers.
  function askAgain() {
    for (const [n, { kind, data, at }] of inFlight) {
      if (performance.now() - at > ASK_AGAIN_MS) inFlight.delete(n);
      else window.dash_clientside.set_props(`canvas-ask-${kind}`, { data: { n, again: true, ...data } });
    }
  }

  // Answers to questions that were asked anew meanwhile are dropped; a sentence alone says why there is none.
  function answered(kind, data) {
    if (!data || !state) return window.dash_clientside.no_update;
    const { done } = inFlight.get(data.n) || {};
    inFlight.delete(data.n);
    if (state.waiting.get(kind) === data.n) state.waiting.delete(kind);
    busy();
    if (data.sentence) say(data.sentence);
    if (done) done(data);
    return window.dash_clientside.no_update;
  }

  const busy = () => {
    const page = document.getElementById("canvas");
    if (page) page.setAttribute("aria-busy", String(state.waiting.size > 0));
  };
  const say = (sentence) => { state.sentence = sentence; P().status(model, result, sentence); };
  const name = (key) => { const node = model.facts.nodes.get(key); return { label: node.label, id: node.id }; };
  // Groups stand for their members wherever nodes are meant.
  const meant = () => {
    const groups = new Map(result.groups.map((group) => [group.key, group.members]));
    return V().selected().flatMap((key) => groups.get(key) || [key]);
  };

  // --- drawing ------------------------------------------------------------------------------------------

  function draw({ arrange = true, select = null } = {}) {
    result = M().drawn(model);
    document.getElementById("canvas-empty").hidden = model.now.nodes.length > 0;
    panels(); // first: they may leave the drawing another height
    V().draw(model, result, words, arrange);
    if (select) V().select(select);
    P().inspector(model, result, act, state);
  }

  function panels() {
    P().legend(model, act);
    P().tools(model, act, state);
    P().time(model, act, state);
    P().status(model, result, state.sentence);
    if (state.table) tables();
  }

  function tables() {
    const rows = P().tables(model, result);
    window.dash_clientside.set_props("canvas-nodes", { rowData: rows.nodes });
    window.dash_clientside.set_props("canvas-links", { rowData: rows.links });
  }

  const step = (changed, options) => { if (changed) { state.sentence = ""; draw(options); } };

  // --- what a reader can do -----------------------------------------------------------------------------

  async function menu(key) {
    if (!model.facts.nodes.has(key)) return;
    if (!state.menus.has(key)) {
      const answer = await ask("menu", name(key));
      if (!answer.menu) return;
      state.menus.set(key, answer.menu);
      if (answer.menu.node) model.facts.nodes.set(key, { ...model.facts.nodes.get(key), ...answer.menu.node });
    }
    P().inspector(model, result, act, state);
  }

  async function expand(keys, filter = {}, after = null, shown = 0) {
    if (!keys.length) return;
    const started = performance.now();
    const picked = V().selected();
    const answer = await ask("expand", { nodes: keys.slice(0, 20).map(name), ...filter, after, shown });
    if (!answer.nodes) return;
    M().add(model, answer);
    for (const page of answer.pages) {
      const pages = state.pages.get(page.key) || new Map();
      pages.set(JSON.stringify(filter), page);
      state.pages.set(page.key, pages);
    }
    state.sentence = answer.sentence || answer.pages.map((page) => page.sentence).slice(0, 3).join(" ");
    draw({ select: picked });
    performance.measure("canvas-expand", { start: started });
    if (keys.length === 1) menu(keys[0]);
  }

  async function bring(answer, { light = [], select = null } = {}) {
    if (!answer.nodes) return;
    M().add(model, answer);
    draw({ select: select || answer.nodes.map((node) => node.key).slice(0, 1) });
    V().light(light);
  }

  const act = {
    label: (label) => step(M().label(model, label), { arrange: false }),
    type: (type) => step(M().type(model, type), { arrange: false }),
    time: (from, to) => step(M().time(model, from, to), { arrange: false }),
    undo: () => step(M().undo(model), { arrange: false }),
    redo: () => step(M().redo(model), { arrange: false }),
    fit: () => V().fit(),
    arrange: () => V().layout(model),
    showAll: () => step(M().showAll(model)),
    hide: () => step(M().hide(model, meant()), { arrange: false }),
    only: () => { const keys = meant(); if (keys.length) step(M().only(model, keys), { arrange: false }); },
    open: (group) => step(M().open(model, group)),
    closeGroups: () => { model.now.opened.forEach((group) => M().close(model, group)); draw(); },
    menu: () => V().selected().slice(0, 1).forEach(menu),
    expand: (filter = {}) => {
      const plain = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== null && value !== ""));
      return expand(V().selected().filter((key) => model.facts.nodes.has(key)), plain);
    },
    next: (key, filter) => {
      const page = state.pages.get(key).get(filter);
      return expand([key], JSON.parse(filter), page.next, page.shown);
    },
    pin: () => {
      const keys = V().selected().filter((key) => model.facts.nodes.has(key));
      const where = V().where();
      if (keys.length && keys.every((key) => key in model.now.pins)) step(M().unpin(model, keys), { arrange: false, select: keys });
      else step(M().pin(model, Object.fromEntries(keys.map((key) => [key, where[key]]))), { arrange: false, select: keys });
    },
    lasso: () => {
      state.lasso = !state.lasso;
      const pad = document.getElementById("canvas-lasso");
      pad.hidden = !state.lasso;
      if (state.lasso) V().lasso(pad, act.lasso);
      P().tools(model, act, state);
    },
    table: () => {
      state.table = !state.table;
      document.getElementById("canvas").classList.toggle("cv-tabled", state.table);
      P().tools(model, act, state);
      if (state.table) tables();
    },
    paths: async () => {
      const [a, b] = V().selected();
      const answer = await ask("paths", { a: name(a), b: name(b) });
      if (answer.nodes && answer.nodes.length) await bring(answer, { light: answer.edges.map((edge) => edge.key), select: [a, b] });
    },
    common: async () => {
      const [a, b] = V().selected();
      const answer = await ask("common", { a: name(a), b: name(b) });
      if (answer.nodes && answer.nodes.length) await bring(answer, { select: [a, b], light: answer.edges.map((edge) => edge.key) });
    },
    since: async (which) => {
      state.since = which;
      if (which !== "none" && !(which in state.sinceAt)) {
        const answer = await ask("since", { which });
        state.sinceAt[which] = answer.at === undefined ? null : answer.at;
        state.sinceAt[`${which} told`] = answer.sentence;
      }
      M().since(model, which === "none" ? null : state.sinceAt[which], model.now.onlySince);
      state.sentence = which === "none" ? "" : state.sinceAt[`${which} told`];
      draw({ arrange: false });
    },
    onlySince: (only) => step(M().since(model, model.now.since, only), { arrange: false }),
    save: () => files.saving(),
    scenes: () => files.listing(),
    link: async () => {
      const link = `${window.location.origin}/canvas?scene=${state.scene}`;
      try { await navigator.clipboard.writeText(link); say(P().say("link_copied")); } catch { say(link); }
    },
    makeCase: () => window.parts.go(`/cases/new?scene=${encodeURIComponent(state.scene)}`),
    png: () => files.exporting("png"),
    csv: () => files.exporting("csv"),
  };

  // --- searching --------------------------------------------------------------------------------------------

  const box = () => document.getElementById("shell-search");
  let typing = null;

  function typed() {
    clearTimeout(typing);
    const text = box().value.trim();
    if (text.length < 3) return offer([]);
    typing = setTimeout(async () => {
      const answer = await ask("suggest", { text });
      if (box() && box().value.trim() === text) offer(answer.found || []);
    }, 200);
  }

  function offer(found) {
    Object.assign(state, { found, at: -1 });
    const field = box();
    const place = document.getElementById("canvas-found");
    if (!field || !place) return;
    const rect = field.getBoundingClientRect();
    Object.assign(place.style, { left: `${rect.left}px`, top: `${rect.bottom + 4}px`, minWidth: `${rect.width}px` });
    P().suggestions(found, state, choose);
  }

  async function find(text) {
    clearTimeout(typing);
    const answer = await ask("search", { text });
    if (!answer.found) return;
    if (answer.found.length === 1) return choose(answer.found[0]);
    offer(answer.found);
  }

  function choose(item) {
    offer([]);
    M().add(model, { nodes: [item] });
    draw({ select: [item.key] });
    menu(item.key);
    document.getElementById("canvas-graph").focus();
  }

  // --- keys -----------------------------------------------------------------------------------------------------

  const KEYS = {
    e: () => act.expand(), h: () => act.hide(), H: () => act.only(), f: () => act.fit(), i: () => inspect(),
    a: () => V().select(result.nodes.concat(result.groups.map((group) => group.key))), z: () => act.undo(),
    Z: () => act.redo(), y: () => act.redo(),
  };
  const inspect = () => { act.menu(); const first = document.querySelector("#canvas-inspector button"); if (first) first.focus(); };

  document.addEventListener("keydown", (event) => {
    const here = document.getElementById("canvas-graph");
    if (event.target.id === "shell-search") return searchKey(event, here);
    if (!here || !model || document.querySelector("dialog[open]")) return;
    if (event.target.isContentEditable || /^(input|textarea|select)$/i.test(event.target.tagName)) return;
    if ((event.ctrlKey || event.metaKey) && !event.altKey) {
      const does = KEYS[event.shiftKey ? event.key.toUpperCase() : event.key.toLowerCase()];
      if (does) { event.preventDefault(); does(); }
    } else if (event.key === "Escape" && state.lasso) act.lasso();
  });

  function searchKey(event, here) {
    if (event.key === "Enter") {
      event.preventDefault();
      if (!here) {
        looking = event.target.value;
        window.dash_clientside.set_props("shell-url", { pathname: "/canvas", search: "" });
      } else if (state.at >= 0) choose(state.found[state.at]);
      else if (event.target.value.trim()) find(event.target.value);
    } else if (here && state && (event.key === "ArrowDown" || event.key === "ArrowUp") && state.found.length) {
      event.preventDefault();
      const many = state.found.length;
      state.at = (state.at + (event.key === "ArrowDown" ? 1 : many - 1) + (state.at < 0 && event.key === "ArrowUp" ? 1 : 0)) % many;
      P().suggestions(state.found, state, choose);
      box().setAttribute("aria-activedescendant", `canvas-found-${state.at}`);
    } else if (event.key === "Escape" && state) offer([]);
  }
  document.addEventListener("input", (event) => {
    if (event.target.id === "shell-search" && document.getElementById("canvas-graph") && state) typed();
  });
  document.addEventListener("focusout", (event) => { if (event.target.id === "shell-search" && state && model) offer([]); });

  // --- begin ------------------------------------------------------------------------------------------------------

  let words = {};
  let limits = {};
  let files = null;
  new MutationObserver(() => V().restyle())
    .observe(document.documentElement, { attributeFilter: ["data-mantine-color-scheme"] });
  let before = null; // what the page was opened with

  async function start(page) {
    if (!page) return window.dash_clientside.no_update;
    words = page.words;
    limits = page.limits;
    files = window.canvasFiles({
      ask, name, tools: () => P().tools(model, act, state), get model() { return model; }, get state() { return state; },
      get result() { return result; }, get limits() { return limits; },
    });
    P().begin(page.words, page.language);
    // The page is laid out anew when Neo4j is back, or when the reader comes back to it: what was on the canvas stays.
    const begun = JSON.stringify([page.scene, page.node]);
    const again = model && (begun === before || !(page.scene || page.node));
    before = begun;
    if (!again) {
      model = M().create();
      state = fresh();
      V().forget();
    }
    Object.assign(state, { lasso: false, table: false, mayMakeCase: page.may_make_case });
    state.waiting.clear();
    result = M().drawn(model);
    const picked = again ? V().selected() : [];
    const engine = await ready();
    V().start(document.getElementById("canvas-graph"), engine, {
      select: () => { P().inspector(model, result, act, state); if (V().selected().length === 1) menu(V().selected()[0]); },
      menu: () => inspect(), expand: () => act.expand(),
    });
    draw();
    if (looking) {
      const text = looking;
      looking = null;
      find(text);
    } else if (again) {
      V().fit();
      V().select(picked);
      askAgain();
    } else if (page.scene) await reopen(page.scene);
    else if (page.node) choose(page.node);
    return window.dash_clientside.no_update;
  }

  async function reopen(scene) {
    const answer = await ask("open", { scene });
    if (!answer.nodes) return;
    model = M().opened(answer, answer.view);
    Object.assign(state, { scene: answer.scene, version: answer.version, name: answer.name });
    state.since = model.now.since === null ? "none" : state.since;
    V().put(answer.places);
    draw({ arrange: false });
    V().fit();
    say(answer.told);
  }

  // dash-cytoscape makes its instance when its component is there.
  async function ready() {
    for (;;) {
      const host = document.querySelector("#canvas-engine");
      const made = host && (host._cyreg || (host.querySelector("*") || {})._cyreg);
      if (made && made.cy && document.getElementById("canvas-graph")) return made.cy;
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  const pickRow = (rows) => {
    if (model && rows && rows.length) {
      const keys = rows.map((row) => row.key);
      V().select(keys.filter((key) => result.nodes.includes(key) || model.facts.edges.has(key)));
    }
    return window.dash_clientside.no_update;
  };

  return { start, answered, pickRow, peek: () => ({ model, result, state }), act, draw };
})();

window.dash_clientside.canvas = {
  start: (page) => { window.canvasPage.start(page); return window.dash_clientside.no_update; },
  pick: (nodes) => window.canvasPage.pickRow(nodes),
  ...Object.fromEntries(["search", "suggest", "menu", "expand", "paths", "common", "since", "save", "scenes", "open", "png"]
    .map((kind) => [`answer_${kind}`, (data) => window.canvasPage.answered(kind, data)])),
};
