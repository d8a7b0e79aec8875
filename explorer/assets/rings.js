// Rings in the browser: rows that lead to their ring, the look of the picture, and sentences that light it up.
window.dash_clientside = window.dash_clientside || {};
(() => {
  "use strict";
  // The shapes of the canvas, so that a handset is the same wherever it is drawn; colors are those of the theme.
  const LOOKS = {
    Application: ["round-rectangle", "money"], Loan: ["diamond", "money"], Phone: ["hexagon", "phone"],
    Device: ["rectangle", "device"], Sim: ["cut-rectangle", "device"], Address: ["pentagon", "place"],
    BankCard: ["round-tag", "money"], Account: ["octagon", "money"], Network: ["rhomboid", "place"],
    Channel: ["vee", "place"], Company: ["heptagon", "place"], Ring: ["star", "ring"], Person: ["ellipse", "person"],
  };
  let cy = null;
  let held = null; // the sentence that stays lit

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--cg-${name}`).trim();

  function style() {
    const kinds = Object.entries(LOOKS).map(([label, [shape, name]]) => (
      { selector: `node[label = "${label}"]`, style: { shape, "background-color": color(name) } }));
    return [
      { selector: "node", style: {
        width: 22, height: 22, label: "data(text)", color: color("text"), "font-size": 10, "text-wrap": "wrap",
        "text-valign": "bottom", "text-margin-y": 3, "min-zoomed-font-size": 6, "border-width": 1,
        "border-color": color("surface"), "text-background-color": color("surface"), "text-background-opacity": 0.8,
        "text-background-padding": 1,
      } },
      ...kinds,
      { selector: "node.core", style: { width: 32, height: 32, "border-width": 5, "border-color": color("ring") } },
      { selector: "node.member", style: { width: 28, height: 28, "border-width": 2, "border-color": color("text") } },
      { selector: "node.suspected_agent", style: {
        shape: "triangle", width: 32, height: 32, "background-color": color("warn"), "border-width": 2,
        "border-style": "dashed", "border-color": color("text"),
      } },
      { selector: "edge", style: { width: 1.3, "line-color": color("quiet"), opacity: 0.55, "curve-style": "haystack" } },
      { selector: ".dim", style: { opacity: 0.13 } },
      { selector: "node.lit", style: { "underlay-color": color("accent"), "underlay-opacity": 0.35, "underlay-padding": 6, "underlay-shape": "ellipse" } },
      { selector: "edge.lit", style: { width: 4, "line-color": color("accent"), opacity: 1 } },
      { selector: "node:selected", style: { "border-color": color("accent"), "border-width": 5 } },
      { selector: "edge:selected", style: { "line-color": color("accent"), width: 4 } },
    ];
  }

  function light(button) {
    if (!cy || cy.destroyed()) return;
    const keys = new Set(button ? JSON.parse(button.dataset.lit) : []);
    cy.batch(() => {
      cy.elements().removeClass("lit dim");
      if (!keys.size) return;
      cy.elements().forEach((element) => { element.addClass(keys.has(element.id()) ? "lit" : "dim"); });
    });
  }

  function hold(button) {
    if (held) held.setAttribute("aria-pressed", "false");
    held = held === button ? null : button;
    if (held) held.setAttribute("aria-pressed", "true");
    light(held);
  }

  const sentence = (target) => target && target.closest && target.closest("[data-lit]");
  document.addEventListener("mouseover", (event) => { const on = sentence(event.target); if (on) light(on); });
  document.addEventListener("mouseout", (event) => { if (sentence(event.target)) light(held); });
  document.addEventListener("focusin", (event) => { const on = sentence(event.target); if (on) light(on); });
  document.addEventListener("focusout", (event) => { if (sentence(event.target)) light(held); });

  // --- going to a ring ---------------------------------------------------------------------------------

  const go = (id) => window.parts.go(`/rings/${encodeURIComponent(id)}`);
  const rowOf = (target) => target && target.closest && target.closest("#rings-table .ag-center-cols-container .ag-row");

  document.addEventListener("click", (event) => {
    const on = sentence(event.target);
    if (on) { hold(on); return; }
    const row = rowOf(event.target);
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey || String(window.getSelection())) return;
    event.preventDefault();
    go(row.getAttribute("row-id"));
  });
  document.addEventListener("keydown", (event) => {
    const row = rowOf(event.target);
    if (row && event.key === "Enter") { event.preventDefault(); go(row.getAttribute("row-id")); }
    if (event.key === "Escape" && held) hold(held);
  });

  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  cells.RingName = ({ data }) => window.React.createElement(
    "a", { href: `/rings/${encodeURIComponent(data.id)}`, className: "cg-id rg-link", tabIndex: -1 }, data.name);
  cells.RingVerdict = ({ data }) => window.React.createElement("span", {},
    data.verdict ? window.React.createElement("span", { className: `rg-chip rg-${data.verdict}` }, data.verdict_text) : "",
    data.outdated ? window.React.createElement("small", { className: "rg-warn" }, ` ${data.outdated_text}`) : "");

  // --- the picture -------------------------------------------------------------------------------------

  const engine = () => {
    const host = document.getElementById("rings-picture");
    const made = host && (host._cyreg || (host.querySelector("*") || {})._cyreg);
    return made && made.cy;
  };

  async function draw() {
    held = null;
    for (let tries = 0; tries < 250; tries += 1) {
      const made = engine();
      if (made && made.elements().length) { cy = made; break; }
      await new Promise((done) => { setTimeout(done, 20); });
    }
    if (!cy) return window.dash_clientside.no_update;
    const told = document.getElementById("rings-told");
    cy.style(style());
    cy.resize();
    cy.fit(undefined, 18);
    cy.removeListener("tap");
    cy.on("tap", (event) => {
      const said = event.target !== cy && event.target.data("told");
      if (said && told) told.textContent = said;
    });
    document.getElementById("rings-picture").dataset.drawn = String(cy.elements().length);
    await new Promise((done) => { requestAnimationFrame(() => setTimeout(done, 0)); });
    return cy.elements().length;
  }

  // After the frame that shows the picture, for plotly's file is larger than all others together.
  function timeline(drawn, figure) {
    if (!drawn || !figure) return window.dash_clientside.no_update;
    const props = { id: "rings-timeline", figure, config: { displayModeBar: false }, className: "rg-timeline" };
    return { namespace: "dash_core_components", type: "Graph", props };
  }

  const repaint = () => { if (cy && !cy.destroyed()) cy.style(style()); };
  new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-mantine-color-scheme"] });

  // --- the export --------------------------------------------------------------------------------------

  async function export_rows(clicks, asked, purpose) {
    if (!clicks) return window.dash_clientside.no_update;
    return window.parts.fetch_file("/rings.csv", { ...asked, purpose: purpose || "" }, "rings.csv");
  }

  window.dash_clientside.rings = { draw, timeline, export_rows };
  window.ringsPicture = { lit: () => (cy ? cy.elements(".lit").map((element) => element.id()).sort() : []), engine: () => cy };
})();
