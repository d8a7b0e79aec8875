// What stands around the drawing: legend, tools, time, inspector, tables. Everything a server said is set as text,
// never as markup.
window.canvasPanels = (() => {
  "use strict";
  const DAY = 86400;
  let words = {};
  let language = "en";

  const el = (name, options = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(options)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (key === "class") node.className = value;
      else if (key === "disabled" || key === "checked" || key === "selected" || key === "hidden") node[key] = value;
      else if (value !== undefined && value !== null) node.setAttribute(key, value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  };
  const number = (value) => new Intl.NumberFormat(language === "zh" ? "zh-CN" : "en").format(value);
  const say = (key, values = {}) => {
    let entry = words[key];
    if (entry && typeof entry === "object") {
      const form = new Intl.PluralRules(language === "zh" ? "zh-CN" : "en").select(values.count ?? 0);
      entry = entry[form] ?? entry.other;
    }
    return String(entry ?? key).replace(/\{(\w+)\}/g, (_, name) =>
      typeof values[name] === "number" ? number(values[name]) : String(values[name] ?? ""));
  };
  const day = (seconds) => (seconds === null || seconds === undefined ? "—"
    : new Date(seconds * 1000).toLocaleDateString(language === "zh" ? "zh-CN" : "en-GB",
      { year: "numeric", month: "short", day: "numeric", timeZone: "UTC" }));
  const iso = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);
  const fromIso = (text, end) => (text ? Date.parse(`${text}T00:00:00Z`) / 1000 + (end ? DAY - 1 : 0) : null);
  const button = (key, onclick, options = {}, values = {}) =>
    el("button", { type: "button", class: "cv-button", onclick, ...options }, say(key, values));

  function begin(said, spoken) {
    words = said;
    language = spoken;
  }

  const put = (id, ...children) => {
    const place = document.getElementById(id);
    if (!place) return;
    const focused = place.contains(document.activeElement) ? document.activeElement.getAttribute("data-focus") : null;
    place.replaceChildren(...children.filter(Boolean));
    if (focused) {
      const again = place.querySelector(`[data-focus="${CSS.escape(focused)}"]`);
      if (again) again.focus();
    }
  };

  const count = (list, of) => {
    const found = new Map();
    for (const item of list) found.set(of(item), (found.get(of(item)) || 0) + 1);
    return [...found].sort((a, b) => b[1] - a[1]);
  };

  function legend(model, act) {
    const view = model.now;
    const hidden = new Set(view.hidden);
    const row = (key, off, mark, text, total, flip) => el("button", {
      type: "button", class: `cv-key${off ? " off" : ""}`, role: "switch", "aria-checked": String(!off),
      "data-focus": `legend ${key}`, title: say(off ? "legend_show" : "legend_hide", { what: text }), onclick: flip,
    }, mark, el("span", {}, text), el("b", {}, number(total)));
    const nodes = view.nodes.filter((key) => !hidden.has(key)).map((key) => model.facts.nodes.get(key));
    const edges = view.edges.map((key) => model.facts.edges.get(key))
      .filter((edge) => !hidden.has(edge.source) && !hidden.has(edge.target));
    put("canvas-legend",
      el("h2", {}, say("legend_nodes")),
      ...count(nodes, (node) => node.label).map(([label, total]) => row(label, view.labelsOff.includes(label),
        window.canvasView.swatch(label), say(`label.${label}`), total, () => act.label(label))),
      el("h2", {}, say("legend_links")),
      ...count(edges, (edge) => edge.type).map(([type, total]) => row(type, view.typesOff.includes(type),
        el("i", { class: "cv-line" }), say(`type.${type}`), total, () => act.type(type))),
      el("h2", {}, say("legend_marks")),
      el("p", { class: "cv-mark" }, el("i", { class: "cv-double" }), say("mark_hub")),
      el("p", { class: "cv-mark" }, el("i", { class: "cv-core" }), say("mark_core")),
      el("p", { class: "cv-mark" }, el("i", { class: "cv-dashed" }), say("mark_group")),
      el("p", { class: "cv-mark" }, el("i", { class: "cv-fresh" }), say("mark_fresh")));
  }

  function tools(model, act, state) {
    const toggle = (on) => ({ "aria-pressed": String(on) });
    const some = model.now.nodes.length > 0;
    const tool = (key, onclick, options = {}) => button(key, onclick, { "data-focus": key, ...options });
    put("canvas-tools",
      el("span", { class: "cv-set" },
        tool("undo", act.undo, { disabled: !model.past.length, title: "Ctrl Z" }),
        tool("redo", act.redo, { disabled: !model.future.length, title: "Ctrl Y" })),
      el("span", { class: "cv-set" },
        tool("fit", act.fit, { disabled: !some, title: "Ctrl F" }),
        tool("arrange", act.arrange, { disabled: !some }),
        tool("lasso", act.lasso, { disabled: !some || state.table, ...toggle(state.lasso) }),
        tool("table", act.table, { disabled: !some, ...toggle(state.table) })),
      model.now.hidden.length
        ? button("show_hidden", act.showAll, { "data-focus": "show" }, { count: model.now.hidden.length }) : null,
      el("span", { class: "cv-room" }),
      el("span", { class: "cv-set" },
        tool("save", act.save, { disabled: !some }),
        tool("scenes", act.scenes),
        tool("link", act.link, { disabled: !state.scene }),
        state.mayMakeCase ? tool("make_case", act.makeCase, { disabled: !state.scene, title: say("make_case_hint") }) : null,
        tool("png", act.png, { disabled: !some || state.table }),
        tool("csv", act.csv, { disabled: !model.now.edges.length })));
  }

  function time(model, act, state) {
    const times = model.now.edges.map((key) => model.facts.edges.get(key).last).filter((at) => at !== null);
    if (!times.length) return put("canvas-time");
    const low = Math.floor(Math.min(...times) / DAY) * DAY;
    const high = Math.floor(Math.max(...times) / DAY) * DAY;
    const last = Math.max(1, (high - low) / DAY);
    const bins = new Array(60).fill(0);
    for (const at of times) bins[Math.min(59, Math.floor(((at - low) / DAY / (last + 1)) * 60))] += 1;
    const most = Math.max(...bins);
    const from = model.now.from === null ? 0 : (model.now.from - low) / DAY;
    const to = model.now.to === null ? last : Math.floor((model.now.to - low) / DAY);
    const told = el("span", { class: "cv-dates" });
    const read = () => {
      const [a, b] = [Number(left.value), Number(right.value)].sort((x, y) => x - y);
      told.textContent = `${day(low + a * DAY)} – ${day(low + b * DAY)}`;
      return [a, b];
    };
    const change = () => {
      const [a, b] = read();
      act.time(a <= 0 ? null : low + a * DAY, b >= last ? null : low + (b + 1) * DAY - 1);
    };
    const slider = (key, value) => el("input", {
      type: "range", min: 0, max: last, value, "aria-label": say(key), "data-focus": key, oninput: read, onchange: change,
    });
    const left = slider("time_from", from);
    const right = slider("time_to", to);
    read();
    const choice = el("select", {
      "aria-label": say("since"), "data-focus": "since", onchange: (event) => act.since(event.target.value),
    }, ...["none", "night", "looked"].map((value) => el("option", { value, selected: state.since === value }, say(`since_${value}`))));
    const onlyBox = el("input", {
      type: "checkbox", id: "canvas-only", "data-focus": "only", checked: model.now.onlySince,
      disabled: model.now.since === null, onchange: (event) => act.onlySince(event.target.checked),
    });
    put("canvas-time",
      el("div", { class: "cv-slider" },
        el("div", { class: "cv-bars", "aria-hidden": "true" }, ...bins.map((n) => {
          const bar = el("i");
          bar.style.height = n ? `${Math.max(8, (n / most) * 100)}%` : "0";
          return bar;
        })), left, right),
      told,
      el("label", { class: "cv-since" }, say("since"), " ", choice),
      el("label", { class: "cv-since", for: "canvas-only" }, onlyBox, " ", say("since_only")));
  }

  function status(model, result, sentence) {
    const parts = [];
    if (sentence) parts.push(sentence);
    parts.push(say("status_drawn", {
      count: result.elements, nodes: result.nodes.length, links: result.edges.length,
    }));
    if (result.groups.length) parts.push(say("status_groups", {
      count: result.groups.length, nodes: result.groups.reduce((sum, group) => sum + group.members.length, 0),
    }));
    if (result.forced) parts.push(say("status_forced", { limit: window.canvasModel.LIMIT }));
    else if (result.over) parts.push(say("status_over", { budget: window.canvasModel.BUDGET }));
    put("canvas-status", ...parts.map((text, n) => el("span", { class: n || !sentence ? "" : "cv-first" }, text)));
  }

  const factRows = (rows) => el("dl", { class: "cv-facts" },
    ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

  function nodePanel(model, node, act, state) {
    const menu = state.menus.get(node.key);
    const head = el("header", {}, window.canvasView.swatch(node.label),
      el("div", {}, el("small", {}, say(`label.${node.label}`)), el("h2", {}, node.text)));
    const pinned = node.key in model.now.pins;
    const actions = el("div", { class: "cv-actions" },
      button("expand", () => act.expand(), { class: "cv-button cv-strong", "data-focus": "expand", title: "Ctrl E" }),
      button("hide", act.hide, { "data-focus": "hide", title: "Ctrl H" }),
      button("only", act.only, { "data-focus": "only-this", title: "Ctrl Shift H" }),
      button(pinned ? "unpin" : "pin", act.pin, { "data-focus": "pin", "aria-pressed": String(pinned) }));
    const parts = [head, actions];
    if (node.hub) parts.push(el("p", { class: "cv-hub" }, say("hub_is", { kind: node.hub }), " ", node.hub_why));
    if (!menu) {
      parts.push(el("p", { class: "cv-wait" }, say("counting")));
      return parts;
    }
    const rows = [...menu.facts];
    rows.push([say("seen_first"), day(menu.first)], [say("seen_last"), day(menu.last)]);
    if (node.text !== node.id) rows.push([say("token"), node.id]);
    parts.push(el("h3", {}, say("links_around", { count: menu.counts.reduce((sum, row) => sum + row.count, 0) })));
    parts.push(el("ul", { class: "cv-counts" }, ...menu.counts.map((row) => {
      const way = `${row.type} ${row.direction}`;
      return el("li", {}, el("button", {
        type: "button", "data-focus": `row ${way} ${row.label}`, title: say("expand_these"),
        onclick: () => act.expand({ type: row.type, direction: row.direction }),
      }, el("span", { class: "cv-way" }, row.direction === "out" ? "→" : "←"),
      el("span", {}, say(`type.${row.type}`), el("small", {}, say(`label.${row.label}`))), el("b", {}, number(row.count))));
    })));
    if (!menu.counts.length) parts.push(el("p", {}, say("no_links")));
    parts.push(filterForm(node, menu, act, state));
    for (const [ask, page] of state.pages.get(node.key) || []) {
      parts.push(el("p", { class: "cv-page" }, el("span", {}, page.sentence),
        page.next ? button("next_page", () => act.next(node.key, ask), { "data-focus": `next ${ask}`, class: "cv-button cv-next" })
          : el("em", {}, say("last_page"))));
    }
    parts.push(el("h3", {}, say("about")), factRows(rows));
    return parts;
  }

  function filterForm(node, menu, act, state) {
    const kept = state.filters.get(node.key) || {};
    const types = [...new Set(menu.counts.map((row) => row.type))];
    const option = (value, text, chosen) => el("option", { value, selected: chosen === value }, text);
    const type = el("select", { "data-focus": "f-type" }, option("", say("any"), kept.type || ""),
      ...types.map((name) => option(name, say(`type.${name}`), kept.type)));
    const direction = el("select", { "data-focus": "f-direction" }, option("", say("any"), kept.direction || ""),
      option("out", say("direction_out"), kept.direction), option("in", say("direction_in"), kept.direction));
    const since = el("input", { type: "date", value: kept.since ? iso(kept.since) : "", "data-focus": "f-since" });
    const until = el("input", { type: "date", value: kept.until ? iso(kept.until) : "", "data-focus": "f-until" });
    const limit = el("input", { type: "number", min: 1, max: 200, value: kept.limit || 200, "data-focus": "f-limit" });
    const field = (key, input) => el("label", {}, say(key), input);
    const send = (event) => {
      event.preventDefault();
      const filter = {
        type: type.value || null, direction: direction.value || null, since: fromIso(since.value, false),
        until: fromIso(until.value, true), limit: Math.min(200, Math.max(1, Number(limit.value) || 200)),
      };
      state.filters.set(node.key, filter);
      act.expand(filter);
    };
    return el("details", { class: "cv-filter", ...(state.filters.has(node.key) ? { open: "" } : {}) },
      el("summary", {}, say("filter")),
      el("form", { onsubmit: send }, field("filter_type", type), field("filter_direction", direction),
        field("filter_since", since), field("filter_until", until), field("filter_limit", limit),
        el("button", { type: "submit", class: "cv-button" }, say("expand_filtered"))));
  }

  function inspector(model, result, act, state) {
    const nodes = window.canvasView.selected();
    const edges = window.canvasView.selectedEdges();
    const groups = new Map(result.groups.map((group) => [group.key, group]));
    if (nodes.length === 1 && groups.has(nodes[0])) {
      const group = groups.get(nodes[0]);
      return put("canvas-inspector", el("header", {}, window.canvasView.swatch(group.label),
        el("div", {}, el("small", {}, say("group")), el("h2", {}, say("group_of", { count: group.members.length, what: say(`label.${group.label}`) })))),
      el("p", {}, say(group.anchor ? "group_why" : "group_rest", { limit: window.canvasModel.LIMIT })),
      el("div", { class: "cv-actions" },
        group.anchor ? button("open_group", () => act.open(group.key), { class: "cv-button cv-strong", "data-focus": "open" }) : null,
        button("hide", act.hide, { "data-focus": "hide" })),
      el("ul", { class: "cv-members" }, ...group.members.slice(0, 200).map((key) => el("li", {}, model.facts.nodes.get(key).text))),
      group.members.length > 200 ? el("p", {}, say("members_more", { count: group.members.length - 200 })) : null);
    }
    if (nodes.length === 1) return put("canvas-inspector", ...nodePanel(model, model.facts.nodes.get(nodes[0]), act, state));
    if (nodes.length > 1) {
      const two = nodes.length === 2 && !nodes.some((key) => groups.has(key));
      return put("canvas-inspector",
        el("header", {}, el("h2", {}, say("selected", { count: nodes.length }))),
        el("div", { class: "cv-actions" },
          button("expand_selected", () => act.expand(), { class: "cv-button cv-strong", "data-focus": "expand" }),
          button("hide", act.hide, { "data-focus": "hide" }),
          button("only_these", act.only, { "data-focus": "only-these" }),
          button("pin", act.pin, { "data-focus": "pin" })),
        two ? el("h3", {}, say("between")) : null,
        two ? el("div", { class: "cv-actions" }, button("paths", act.paths, { "data-focus": "paths" }),
          button("common", act.common, { "data-focus": "common" })) : el("p", {}, say("select_two")),
        el("ul", { class: "cv-members" }, ...nodes.slice(0, 200).map((key) => el("li", {},
          groups.has(key) ? say("group") : `${say(`label.${model.facts.nodes.get(key).label}`)} ${model.facts.nodes.get(key).text}`))));
    }
    if (edges.length === 1 && model.facts.edges.has(edges[0])) {
      const edge = model.facts.edges.get(edges[0]);
      const end = (key) => `${say(`label.${model.facts.nodes.get(key).label}`)} ${model.facts.nodes.get(key).text}`;
      return put("canvas-inspector",
        el("header", {}, el("div", {}, el("small", {}, say("link_word")), el("h2", {}, say(`type.${edge.type}`)))),
        factRows([[say("link_from"), end(edge.source)], [say("link_to"), end(edge.target)], [say("seen_first"), day(edge.first)],
          [say("seen_last"), day(edge.last)], [say("events"), edge.count === null ? "—" : number(edge.count)], ...edge.facts]));
    }
    put("canvas-inspector", el("h2", {}, say("inspector")),
      el("p", {}, say(model.now.nodes.length ? "inspector_hint" : "inspector_empty")),
      closedGroups(model, act));
  }

  const closedGroups = (model, act) => (model.now.opened.length
    ? button("close_groups", act.closeGroups, { "data-focus": "close-groups" }, { count: model.now.opened.length }) : null);

  function suggestions(found, state, choose) {
    put("canvas-found", found.length ? el("ul", { role: "listbox", "aria-label": say("found") }, ...found.map((item, n) =>
      el("li", { role: "option", id: `canvas-found-${n}`, "aria-selected": String(n === state.at), onmousedown: (event) => {
        event.preventDefault();
        choose(item);
      } }, window.canvasView.swatch(item.label), el("span", {}, item.text), el("small", {}, say(`label.${item.label}`))))) : null);
  }

  // The same nodes and links as on the canvas, for whoever reads rather than looks.
  function tables(model, result) {
    const inside = new Map(result.groups.flatMap((group) => group.members.map((key) => [key, group])));
    const degree = new Map();
    for (const edge of result.left.edges) for (const key of new Set([edge.source, edge.target])) degree.set(key, (degree.get(key) || 0) + 1);
    const fact = (key) => model.facts.nodes.get(key);
    return {
      nodes: result.left.nodes.map((key) => ({
        key, kind: say(`label.${fact(key).label}`), name: fact(key).text, links: degree.get(key) || 0,
        marks: [fact(key).hub, key in model.now.pins && say("pinned"), inside.has(key) && say("grouped")].filter(Boolean).join(", "),
      })),
      links: result.left.edges.map((edge) => ({
        key: edge.key, from: `${say(`label.${fact(edge.source).label}`)} ${fact(edge.source).text}`, type: say(`type.${edge.type}`),
        to: `${say(`label.${fact(edge.target).label}`)} ${fact(edge.target).text}`, first: edge.first, last: edge.last,
        events: edge.count, fresh: window.canvasModel.isFresh(edge, model.now) ? say("fresh") : "",
      })),
    };
  }

  function dialog(title, ...content) {
    const box = el("dialog", { class: "cv-dialog", "aria-label": title }, el("h2", {}, title), ...content);
    document.body.append(box);
    box.addEventListener("close", () => box.remove());
    box.showModal();
    return box;
  }

  return {
    begin, say, el, put, button, number, day, legend, tools, time, status, inspector, suggestions, tables, dialog,
  };
})();

// Columns of the tables hold epoch seconds, so that they sort; this is how they read.
window.dashAgGridFunctions = window.dashAgGridFunctions || {};
window.dashAgGridFunctions.canvasDay = (seconds) => (seconds === null || seconds === undefined ? ""
  : new Date(seconds * 1000).toISOString().slice(0, 10));
