// Draws what the model says on cytoscape.js, the one that comes with dash-cytoscape, without sending elements through
// Dash: only what differs is added or removed. See docs/decisions/0014.
window.canvasView = (() => {
  "use strict";
  // Okabe and Ito's colors, which people with any color vision tell apart; the shape says the same once more.
  const LOOKS = {
    Person: ["ellipse", "#0072b2"], Application: ["round-rectangle", "#56b4e9"], Loan: ["diamond", "#e69f00"],
    Phone: ["hexagon", "#009e73"], Device: ["rectangle", "#cc79a7"], Sim: ["cut-rectangle", "#b07aa1"],
    Address: ["pentagon", "#d55e00"], BankCard: ["round-tag", "#e69f00"], Account: ["octagon", "#8c6d1f"],
    Network: ["rhomboid", "#7f7f7f"], Channel: ["vee", "#56b4e9"], Company: ["heptagon", "#009e73"],
    Ring: ["star", "#f0e442"],
  };
  const POLYGONS = {
    diamond: "10,1 19,10 10,19 1,10", hexagon: "5,2 15,2 19,10 15,18 5,18 1,10", rectangle: "2,3 18,3 18,17 2,17",
    "cut-rectangle": "6,3 14,3 18,7 18,13 14,17 6,17 2,13 2,7", pentagon: "10,1 19,8 15.5,18.5 4.5,18.5 1,8",
    "round-tag": "2,4 13,4 19,10 13,16 2,16", octagon: "6,1 14,1 19,6 19,14 14,19 6,19 1,14 1,6",
    rhomboid: "1,3 13,3 19,17 7,17", vee: "1,2 10,6 19,2 10,19",
    heptagon: "10,1 17.5,4.5 19,12.5 14,19 6,19 1,12.5 2.5,4.5",
    star: "10,0 12.4,7.2 20,7.6 14,12.2 16.2,19.5 10,15.3 3.8,19.5 6,12.2 0,7.6 7.6,7.2",
  };
  const FINE = 60; // nodes that are laid out by forces at once: with more, it would be felt
  const STRAIGHT = 300; // elements up to which edges end in arrows; beyond, arrows sit in their middle

  let cy = null;
  let theme = null;
  const places = new Map();

  const dark = () => document.documentElement.getAttribute("data-mantine-color-scheme") === "dark";

  function style() {
    theme = dark()
      ? { text: "#e8e8ea", back: "#1b1c1f", edge: "#8b8d94", rim: "#c9cacf", pick: "#ffd43b", fresh: "#ff922b" }
      : { text: "#1f2023", back: "#ffffff", edge: "#85888f", rim: "#4a4c52", pick: "#1c1cf0", fresh: "#d9480f" };
    const kinds = Object.entries(LOOKS).map(([label, [shape, color]]) => ({
      selector: `node[label = "${label}"]`, style: { shape, "background-color": color },
    }));
    return [
      { selector: "node", style: {
        width: 30, height: 30, label: "data(text)", color: theme.text, "font-size": 11, "text-wrap": "wrap",
        "text-valign": "bottom", "text-margin-y": 3, "line-height": 1.15, "min-zoomed-font-size": 6,
        "border-width": 1, "border-color": theme.rim, "text-background-color": theme.back,
        "text-background-opacity": 0.75, "text-background-padding": 1,
      } },
      ...kinds,
      { selector: "node.hub", style: { width: 46, height: 46, "border-width": 6, "border-style": "double" } },
      { selector: "node.core", style: { "border-width": 5, "border-color": theme.fresh } },
      { selector: "node.group", style: {
        width: 48, height: 48, "border-style": "dashed", "border-width": 3, "background-opacity": 0.55,
        "font-weight": "bold", "font-size": 12,
      } },
      { selector: "node.pinned", style: {
        "underlay-color": theme.rim, "underlay-opacity": 0.35, "underlay-padding": 5, "underlay-shape": "ellipse",
      } },
      { selector: "edge", style: {
        width: "data(width)", "line-color": theme.edge, "curve-style": "bezier", "control-point-step-size": 24,
        "target-arrow-shape": "triangle", "target-arrow-color": theme.edge, "arrow-scale": 0.9, opacity: 0.85,
      } },
      { selector: "edge.many", style: {
        "curve-style": "haystack", "haystack-radius": 0.2, "mid-target-arrow-shape": "triangle",
        "mid-target-arrow-color": theme.edge,
      } },
      { selector: "edge.fresh", style: {
        "line-color": theme.fresh, "target-arrow-color": theme.fresh, "mid-target-arrow-color": theme.fresh,
        "line-style": "dashed", width: 3,
      } },
      { selector: "edge.path", style: {
        "line-color": theme.pick, "target-arrow-color": theme.pick, "mid-target-arrow-color": theme.pick, width: 5,
      } },
      { selector: "edge.told", style: {
        label: "data(word)", "font-size": 10, color: theme.text, "text-rotation": "autorotate",
        "text-background-color": theme.back, "text-background-opacity": 0.85, "min-zoomed-font-size": 7,
      } },
      { selector: ".arriving", style: { display: "none" } },
      { selector: "node:selected", style: {
        "border-color": theme.pick, "border-width": 5, "border-style": "solid", "font-weight": "bold",
      } },
      { selector: "edge:selected", style: {
        "line-color": theme.pick, "target-arrow-color": theme.pick, "mid-target-arrow-color": theme.pick, width: 4,
      } },
    ];
  }

  // Makes the drawing in an element with the constructor of dash-cytoscape's own instance.
  function start(container, engine, on) {
    stop();
    // Without a language of its own a canvas measures labels by other fonts than it draws them with.
    const inner = document.createElement("div");
    inner.lang = "en";
    inner.setAttribute("aria-hidden", "true");
    container.replaceChildren(inner);
    const Core = engine.constructor;
    cy = new Core({
      container: inner, elements: [], style: style(), minZoom: 0.05, maxZoom: 4, boxSelectionEnabled: true,
      selectionType: "single", hideEdgesOnViewport: false, textureOnViewport: true, pixelRatio: 1,
    });
    cy.on("select unselect", () => { tell(); on.select(); });
    cy.on("dragfree", "node", () => remember());
    cy.on("cxttap", "node", (event) => { only(event.target.id()); on.menu(); });
    cy.on("dbltap", "node", (event) => { only(event.target.id()); on.expand(); });
    return cy;
  }

  const forget = () => places.clear();

  function stop() {
    if (cy) cy.destroy();
    cy = null;
  }

  const remember = () => cy.nodes().forEach((node) => { places.set(node.id(), { ...node.position() }); });
  const only = (key) => cy.batch(() => { cy.elements(":selected").unselect(); cy.getElementById(key).select(); });

  // Edge labels only beside what is selected: on all of them they would cost more time than they tell.
  function tell() {
    const around = cy.nodes(":selected").connectedEdges().union(cy.edges(":selected"));
    cy.batch(() => {
      cy.edges(".told").removeClass("told");
      if (around.length <= 25) around.addClass("told");
    });
  }

  const width = (count) => Math.min(4, 1.2 + Math.log10(Math.max(1, count || 1)));

  function wanted(model, result, words) {
    const roles = new Map();
    for (const edge of result.edges) if (edge.role) roles.set(edge.source, edge);
    const elements = new Map();
    const many = result.elements > STRAIGHT ? " many" : "";
    for (const key of result.nodes) {
      const node = model.facts.nodes.get(key);
      const role = roles.get(key);
      const lines = [words[`label.${node.label}`], node.text, node.hub, role && role.role].filter(Boolean);
      const classes = [node.hub && "hub", role && role.rank === "core" && "core", key in model.now.pins && "pinned"];
      elements.set(key, { group: "nodes", classes: classes.filter(Boolean).join(" "),
        data: { id: key, label: node.label, text: lines.join("\n") } });
    }
    for (const group of result.groups) {
      const text = `${group.members.length.toLocaleString()} × ${words[`label.${group.label}`]}`;
      elements.set(group.key, { group: "nodes", classes: "group", data: { id: group.key, label: group.label, text } });
    }
    for (const edge of result.edges) {
      const fresh = window.canvasModel.isFresh(edge, model.now) ? " fresh" : "";
      elements.set(edge.key, { group: "edges", classes: (fresh + many).trim(), data: {
        id: edge.key, source: edge.source, target: edge.target, width: width(edge.count), word: words[`type.${edge.type}`],
      } });
    }
    for (const group of result.groups) {
      for (const how of group.how) {
        const type = how.slice(0, -1);
        const ends = how.endsWith(">") ? [group.key, group.anchor] : [group.anchor, group.key];
        elements.set(`${group.key} ${how}`, { group: "edges", classes: many.trim(), data: {
          id: `${group.key} ${how}`, source: ends[0], target: ends[1], width: 3, word: words[`type.${type}`],
        } });
      }
    }
    return elements;
  }

  // Neighbors on the drawing, read once: to ask cytoscape node by node would cost the time of a layout.
  function adjacency() {
    const around = new Map(cy.nodes().map((node) => [node.id(), new Set()]));
    cy.edges().forEach((edge) => {
      const [a, b] = [edge.data("source"), edge.data("target")];
      if (a !== b) { around.get(a).add(b); around.get(b).add(a); }
    });
    return around;
  }

  const RING = 120;
  const RINGS_APART = 84;
  const NODES_APART = 78;
  const fitsOn = (span, radius) => Math.max(4, Math.floor((span * radius) / NODES_APART));

  // How far the rings of so many leaves reach.
  function reach(leaves) {
    let radius = RING;
    for (let left = leaves - fitsOn(Math.PI * 1.4, radius); left > 0; left -= fitsOn(Math.PI * 1.4, radius)) radius += RINGS_APART;
    return leaves ? radius : 0;
  }

  // New nodes go in rings around the node they hang on, on the side where nothing is yet. Returns those that hang on
  // nothing that has a place.
  function place(keys, around) {
    const byAnchor = new Map();
    const strangers = [];
    const left = keys.filter((key) => !places.has(key));
    for (const key of left) {
      const anchor = [...around.get(key)].find((other) => places.has(other));
      if (anchor === undefined) strangers.push(key);
      else if (byAnchor.has(anchor)) byAnchor.get(anchor).push(key);
      else byAnchor.set(anchor, [key]);
    }
    for (const [anchor, members] of byAnchor) {
      const at = places.get(anchor);
      const others = [...around.get(anchor)].filter((other) => places.has(other)).map((other) => places.get(other));
      const away = others.reduce((sum, other) => {
        const far = Math.hypot(at.x - other.x, at.y - other.y) || 1;
        return { x: sum.x + (at.x - other.x) / far, y: sum.y + (at.y - other.y) / far };
      }, { x: 0, y: 0 });
      const middle = others.length ? Math.atan2(away.y, away.x) : -Math.PI / 2;
      const span = others.length ? Math.PI * 1.4 : Math.PI * 2;
      for (let done = 0, radius = RING; done < members.length; radius += RINGS_APART) {
        const row = members.slice(done, done + fitsOn(span, radius));
        row.forEach((key, number) => {
          const angle = middle - span / 2 + (span * (number + 0.5)) / row.length;
          places.set(key, { x: at.x + radius * Math.cos(angle), y: at.y + radius * Math.sin(angle) });
        });
        done += row.length;
      }
    }
    return strangers.length < left.length ? place(strangers, around) : strangers;
  }

  // Brings the drawing to what the model says; returns how many nodes are new on the screen.
  function draw(model, result, words, arrange = true) {
    cy.resize();
    const elements = wanted(model, result, words);
    const before = cy.nodes().length;
    const added = [];
    cy.batch(() => {
      cy.elements().filter((element) => !elements.has(element.id())).remove();
      for (const [key, element] of elements) {
        const there = cy.getElementById(key);
        if (there.empty()) added.push(element);
        else bring(there, element);
      }
      cy.add(added);
    });
    for (const [key, [x, y]] of Object.entries(model.now.pins)) places.set(key, { x, y });
    const keys = added.filter((element) => element.group === "nodes").map((element) => element.data.id);
    const fresh = keys.filter((key) => !places.has(key)).length;
    const around = adjacency();
    const strangers = place(keys, around);
    const few = cy.nodes().length <= FINE;
    if (strangers.length || (arrange && fresh && few)) {
      settle();
      // Many are shown once they have places: to draw them twice would hold the page longer than their layout does.
      if (around.size - hanging(model, around).length > FINE) {
        cy.batch(() => { for (const { data } of added) cy.getElementById(data.id).addClass("arriving"); });
      }
      later(() => layout(model, before > 0 && !strangers.length));
    } else {
      settle();
      if (fresh && arrange) fit();
      else if (keys.length) fit(true);
    }
    return keys.length;
  }

  // In a task of its own, so that neither it nor the drawing holds the page for long; the last one asked for counts.
  let waiting = null;
  function later(work) {
    clearTimeout(waiting);
    waiting = setTimeout(() => { if (cy) work(); }, 0);
  }

  function bring(there, { data, classes }) {
    const kept = ["path", "told", "arriving"].filter((name) => there.hasClass(name));
    const now = [classes, ...kept].filter(Boolean).join(" ");
    if (there.data("text") !== data.text || there.data("width") !== data.width) there.data(data);
    if (there.classes().join(" ") !== now) there.classes(now);
  }

  const settle = () => cy.batch(() => {
    cy.nodes().forEach((node) => { if (places.has(node.id())) node.position(places.get(node.id())); });
  });

  // The leaves among many nodes: what hangs on one other, which does not hang on it alone.
  function hanging(model, around) {
    const hangs = (key) => !(key in model.now.pins) && around.get(key).size === 1
      && around.get([...around.get(key)][0]).size > 1;
    return around.size > FINE ? [...around.keys()].filter(hangs) : [];
  }

  // Leaves go in rings around what they hang on; only the rest is a matter of forces, and that is little.
  function layout(model, incremental = false) {
    const around = adjacency();
    if (!around.size) return;
    const pinned = new Set(Object.keys(model.now.pins));
    const leaves = hanging(model, around);
    const gone = new Set(leaves);
    const core = cy.nodes().filter((node) => !gone.has(node.id()));
    const held = new Map();
    leaves.forEach((key) => { const [anchor] = around.get(key); held.set(anchor, (held.get(anchor) || 0) + 1); });
    const far = (key) => reach(held.get(key) || 0);
    const fine = core.length <= FINE;
    settle();
    if (core.length === 1) core.position(places.get(core[0].id()) || { x: 0, y: 0 });
    else if (core.length === 2) core[1].position({ x: core[0].position("x") + 260 + far(core[0].id()) + far(core[1].id()), y: core[0].position("y") });
    else {
      const fixed = core.filter((node) => pinned.has(node.id()))
        .map((node) => ({ nodeId: node.id(), position: places.get(node.id()) }));
      core.union(core.edgesWith(core)).layout({
        name: "fcose", quality: fine ? "default" : "draft", randomize: !(fine && incremental), animate: false, fit: false,
        nodeSeparation: 100, nodeRepulsion: 9000, gravity: 0.3, numIter: 1000, packComponents: true,
        idealEdgeLength: (edge) => 100 + far(edge.data("source")) + far(edge.data("target")),
        nodeDimensionsIncludeLabels: fine, fixedNodeConstraint: fine && fixed.length ? fixed : undefined,
      }).run();
    }
    core.forEach((node) => { if (!pinned.has(node.id())) places.set(node.id(), { ...node.position() }); });
    if (!fine) spread(core.map((node) => node.id()), pinned);
    leaves.forEach((key) => places.delete(key));
    place(leaves, around);
    settle();
    if (cy.elements(".arriving").empty()) fit();
    else later(() => { cy.elements(".arriving").removeClass("arriving"); fit(); });
  }

  // A draft lays nodes upon each other: those too close push each other away, a few times over.
  function spread(keys, pinned) {
    const spots = keys.map((key) => places.get(key));
    for (let round = 0, moved = true; moved && round < 40; round += 1) {
      moved = false;
      for (let one = 1; one < spots.length; one += 1) {
        for (let other = 0; other < one; other += 1) {
          const [a, b] = [spots[one], spots[other]];
          const [dx, dy] = [a.x - b.x, a.y - b.y];
          if (Math.abs(dx) >= NODES_APART || Math.abs(dy) >= NODES_APART) continue;
          const far = Math.hypot(dx, dy);
          if (far >= NODES_APART) continue;
          const push = (NODES_APART - far) / 2 + 1;
          const [x, y] = far ? [(dx / far) * push, (dy / far) * push] : [push * Math.cos(one), push * Math.sin(one)];
          if (!pinned.has(keys[one])) { a.x += x; a.y += y; }
          if (!pinned.has(keys[other])) { b.x -= x; b.y -= y; }
          moved = true;
        }
      }
    }
  }

  function fit(soft = false) {
    if (!cy || cy.nodes().empty()) return;
    const box = cy.elements().renderedBoundingBox();
    const inside = box.x1 >= 0 && box.y1 >= 0 && box.x2 <= cy.width() && box.y2 <= cy.height();
    if (soft && inside) return;
    cy.fit(undefined, 36);
    if (cy.zoom() > 1.4) { cy.zoom(1.4); cy.center(); }
  }

  const restyle = () => { if (cy) cy.style(style()); };

  // A line drawn by hand around nodes selects them; Shift adds to what is selected.
  function lasso(canvas, done) {
    const box = canvas.getBoundingClientRect();
    canvas.width = box.width;
    canvas.height = box.height;
    const pen = canvas.getContext("2d");
    let line = [];
    const at = (event) => [event.clientX - box.left, event.clientY - box.top];
    canvas.onpointerdown = (event) => { line = [at(event)]; canvas.setPointerCapture(event.pointerId); };
    canvas.onpointermove = (event) => {
      if (!line.length) return;
      line.push(at(event));
      pen.clearRect(0, 0, canvas.width, canvas.height);
      pen.beginPath();
      line.forEach(([x, y], number) => (number ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.closePath();
      pen.strokeStyle = theme.pick;
      pen.fillStyle = `${theme.pick}22`;
      pen.fill();
      pen.stroke();
    };
    canvas.onpointerup = (event) => {
      const shape = new Path2D();
      line.forEach(([x, y], number) => (number ? shape.lineTo(x, y) : shape.moveTo(x, y)));
      cy.batch(() => {
        if (!event.shiftKey) cy.elements(":selected").unselect();
        cy.nodes().filter((node) => {
          const { x, y } = node.renderedPosition();
          return pen.isPointInPath(shape, x, y);
        }).select();
      });
      pen.clearRect(0, 0, canvas.width, canvas.height);
      line = [];
      done();
    };
  }

  function swatch(label) {
    const [shape, color] = LOOKS[label] || LOOKS.Person;
    const make = (name, values) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", name);
      Object.entries(values).forEach(([key, value]) => element.setAttribute(key, value));
      return element;
    };
    const svg = make("svg", { viewBox: "-1 -1 22 22", width: 16, height: 16, "aria-hidden": "true", class: "cv-swatch" });
    const paint = { fill: color, stroke: "currentColor", "stroke-width": 1 };
    if (shape === "ellipse") svg.append(make("circle", { cx: 10, cy: 10, r: 9, ...paint }));
    else if (shape === "round-rectangle") svg.append(make("rect", { x: 2, y: 3, width: 16, height: 14, rx: 4, ...paint }));
    else svg.append(make("polygon", { points: POLYGONS[shape], ...paint }));
    return svg;
  }

  const selected = () => (cy ? cy.nodes(":selected").map((node) => node.id()) : []);
  const selectedEdges = () => (cy ? cy.edges(":selected").map((edge) => edge.id()) : []);
  function select(keys) {
    cy.batch(() => {
      cy.elements(":selected").unselect();
      keys.forEach((key) => cy.getElementById(key).select());
    });
  }
  function light(keys) {
    cy.batch(() => {
      cy.edges(".path").removeClass("path");
      keys.forEach((key) => cy.getElementById(key).addClass("path"));
    });
  }
  const where = () => { remember(); return Object.fromEntries([...places].map(([key, { x, y }]) => [key, [x, y]])); };
  const put = (spots) => Object.entries(spots).forEach(([key, [x, y]]) => places.set(key, { x, y }));
  const picture = () => cy.png({ output: "blob-promise", full: true, scale: 2, maxWidth: 6000, maxHeight: 6000, bg: theme.back });

  return {
    LOOKS, start, stop, forget, draw, layout, fit, restyle, lasso, swatch, selected, selectedEdges, select, light, where, put,
    picture, background: () => theme.back, ink: () => theme.text, live: () => cy,
  };
})();
