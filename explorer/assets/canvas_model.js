// What is on the canvas and what of it is drawn: plain data, no page. Every change can be undone; what is drawn is
// worked out anew from the facts and the view, so that a filter or a group never loses anything.
window.canvasModel = (() => {
  "use strict";
  const GROUP_OVER = 12; // of one kind hanging on one node by the same relationships: drawn as one
  const BUDGET = 300; // elements that are easy to read
  const LIMIT = 1000; // elements that are ever drawn
  const STEPS = 100; // changes that can be undone
  const KINDS = 13; // groups of the rest: at most one a label

  const EMPTY = Object.freeze({
    nodes: [], edges: [], hidden: [], pins: {}, labelsOff: [], typesOff: [], from: null, to: null,
    since: null, onlySince: false, opened: [],
  });

  const create = () => ({ facts: { nodes: new Map(), edges: new Map() }, past: [], now: EMPTY, future: [] });

  const same = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);

  // Makes one step of a change; a change of nothing is no step.
  function change(model, patch) {
    if (Object.entries(patch).every(([name, value]) => same(value, model.now[name]))) return false;
    const next = Object.freeze({ ...model.now, ...patch });
    model.past.push(model.now);
    if (model.past.length > STEPS) model.past.shift();
    model.now = next;
    model.future = [];
    return true;
  }

  function undo(model) {
    if (!model.past.length) return false;
    model.future.push(model.now);
    model.now = model.past.pop();
    return true;
  }

  function redo(model) {
    if (!model.future.length) return false;
    model.past.push(model.now);
    model.now = model.future.pop();
    return true;
  }

  const union = (list, more) => [...new Set([...list, ...more])];
  const without = (list, less) => {
    const gone = new Set(less);
    return list.filter((item) => !gone.has(item));
  };
  const toggled = (list, item) => (list.includes(item) ? without(list, [item]) : [...list, item]);

  // What a server answered: facts are kept for good (undo may bring them back), presence is part of the view.
  // A node that had been hidden is shown again when it is added anew.
  function add(model, { nodes = [], edges = [] }) {
    for (const node of nodes) model.facts.nodes.set(node.key, { ...model.facts.nodes.get(node.key), ...node });
    for (const edge of edges) model.facts.edges.set(edge.key, edge);
    const keys = nodes.map((node) => node.key);
    const fresh = without(keys, model.now.nodes).length;
    change(model, {
      nodes: union(model.now.nodes, keys),
      edges: union(model.now.edges, edges.map((edge) => edge.key)),
      hidden: without(model.now.hidden, keys),
    });
    return fresh;
  }

  const hide = (model, keys) => change(model, {
    hidden: union(model.now.hidden, keys.filter((key) => model.now.nodes.includes(key))),
  });
  const only = (model, keys) => change(model, { hidden: union(model.now.hidden, without(model.now.nodes, keys)) });
  const showAll = (model) => change(model, { hidden: [] });
  const pin = (model, places) => change(model, { pins: { ...model.now.pins, ...places } });
  const unpin = (model, keys) => change(model, {
    pins: Object.fromEntries(Object.entries(model.now.pins).filter(([key]) => !keys.includes(key))),
  });
  const label = (model, name) => change(model, { labelsOff: toggled(model.now.labelsOff, name) });
  const type = (model, name) => change(model, { typesOff: toggled(model.now.typesOff, name) });
  const time = (model, from, to) => change(model, { from, to });
  const since = (model, at, onlySince) => change(model, { since: at, onlySince: at !== null && onlySince });
  const open = (model, group) => change(model, { opened: union(model.now.opened, [group]) });
  const close = (model, group) => change(model, { opened: without(model.now.opened, [group]) });

  const inWindow = (edge, view) =>
    edge.last === null || edge.last === undefined ||
    ((view.from === null || edge.last >= view.from) && (view.to === null || (edge.first ?? edge.last) <= view.to));
  const isFresh = (edge, view) => view.since !== null && (edge.last ?? -Infinity) >= view.since;

  // Which nodes and edges the filters leave. A filter on edges takes away the nodes that hung only on what it took.
  function filtered(model) {
    const view = model.now;
    const hidden = new Set(view.hidden);
    const off = new Set(view.labelsOff);
    const typesOff = new Set(view.typesOff);
    const shown = new Set(view.nodes.filter((key) => !hidden.has(key) && !off.has(model.facts.nodes.get(key).label)));
    const between = view.edges.map((key) => model.facts.edges.get(key))
      .filter((edge) => shown.has(edge.source) && shown.has(edge.target));
    const edges = between.filter((edge) =>
      !typesOff.has(edge.type) && inWindow(edge, view) && (!view.onlySince || isFresh(edge, view)));
    const ends = (list) => new Set(list.flatMap((edge) => [edge.source, edge.target]));
    const linked = ends(between);
    const left = ends(edges);
    const nodes = [...shown].filter((key) => left.has(key) || !linked.has(key) || key in view.pins);
    return { nodes, edges };
  }

  // Leaves of one anchor, one label and the same relationships, more than `over` of them.
  function grouped(model, { nodes, edges }, over, opened) {
    const around = new Map(nodes.map((key) => [key, []]));
    for (const edge of edges) {
      around.get(edge.source).push([edge.target, edge.type + ">"]);
      if (edge.source !== edge.target) around.get(edge.target).push([edge.source, edge.type + "<"]);
    }
    const buckets = new Map();
    for (const key of nodes) {
      const anchors = new Set(around.get(key).map(([other]) => other));
      if (anchors.size !== 1 || anchors.has(key) || key in model.now.pins) continue;
      const [anchor] = anchors;
      const how = [...new Set(around.get(key).map(([, way]) => way))].sort();
      const kind = model.facts.nodes.get(key).label;
      const name = `group:${JSON.stringify([anchor, kind, how])}`;
      if (!buckets.has(name)) buckets.set(name, { key: name, anchor, label: kind, how, members: [] });
      buckets.get(name).members.push(key);
    }
    const groups = [...buckets.values()].filter((g) => g.members.length > over && !opened.has(g.key));
    const inside = new Set(groups.flatMap((group) => group.members));
    return {
      nodes: nodes.filter((key) => !inside.has(key)),
      edges: edges.filter((edge) => !inside.has(edge.source) && !inside.has(edge.target)),
      groups,
    };
  }

  const size = (drawn) =>
    drawn.nodes.length + drawn.edges.length + drawn.groups.reduce((sum, group) => sum + 1 + group.how.length, 0);

  // The last resort: as many nodes as fit, pinned ones and those with most edges first; the rest by label.
  function fitted(model, { nodes, edges }) {
    const degree = new Map(nodes.map((key) => [key, 0]));
    const around = new Map(nodes.map((key) => [key, []]));
    for (const edge of edges) {
      for (const key of new Set([edge.source, edge.target])) {
        degree.set(key, degree.get(key) + 1);
        around.get(key).push(edge);
      }
    }
    const rank = (key) => (key in model.now.pins ? 1e9 : degree.get(key));
    const kept = new Set();
    const keptEdges = new Set();
    const rest = new Map();
    for (const key of [...nodes].sort((a, b) => rank(b) - rank(a))) {
      const more = around.get(key).filter((edge) => {
        const other = edge.source === key ? edge.target : edge.source;
        return other === key || kept.has(other);
      });
      if (kept.size + keptEdges.size + 1 + more.length <= LIMIT - KINDS) {
        kept.add(key);
        more.forEach((edge) => keptEdges.add(edge));
      } else {
        const kind = model.facts.nodes.get(key).label;
        if (!rest.has(kind)) rest.set(kind, { key: `rest:${kind}`, anchor: null, label: kind, how: [], members: [] });
        rest.get(kind).members.push(key);
      }
    }
    return { nodes: [...kept], edges: [...keptEdges], groups: [...rest.values()] };
  }

  // What to draw: never more than LIMIT elements. `forced`: grouped harder than asked for, to stay within it.
  function drawn(model) {
    const left = filtered(model);
    let result = grouped(model, left, GROUP_OVER, new Set(model.now.opened));
    let forced = false;
    for (const over of [GROUP_OVER, 4, 1]) {
      if (size(result) <= LIMIT) break;
      forced = true;
      result = grouped(model, left, over, new Set());
    }
    if (size(result) > LIMIT) result = fitted(model, left);
    const elements = size(result);
    return { ...result, left, elements, forced, over: elements > BUDGET };
  }

  // What is saved of it: names of nodes and edges, never what is known of them.
  function saved(model, places) {
    const view = model.now;
    const node = (key) => model.facts.nodes.get(key);
    return {
      view: { ...view, nodes: undefined, edges: undefined },
      nodes: view.nodes.map((key) => [node(key).label, node(key).id, ...(places[key] || [null, null])]),
      edges: view.edges.map((key) => model.facts.edges.get(key)).map((e) => [e.type, ...[e.source, e.target]
        .flatMap((key) => [node(key).label, node(key).id])]),
    };
  }

  // A scene that was opened: what is left of it is the first state, and there is nothing to undo.
  function opened(facts, view) {
    const model = create();
    add(model, facts);
    model.past = [];
    const there = new Set(model.now.nodes);
    model.now = Object.freeze({
      ...model.now, ...view, nodes: model.now.nodes, edges: model.now.edges,
      hidden: (view.hidden || []).filter((key) => there.has(key)),
      pins: Object.fromEntries(Object.entries(view.pins || {}).filter(([key]) => there.has(key))),
    });
    return model;
  }

  return {
    GROUP_OVER, BUDGET, LIMIT, STEPS, create, add, hide, only, showAll, pin, unpin, label, type, time, since, open,
    close, undo, redo, drawn, filtered, isFresh, saved, opened,
  };
})();
