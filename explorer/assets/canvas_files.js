// Keeping a canvas and taking something away from it: scenes, links, pictures, files. Each says before how much it is.
window.canvasFiles = (page) => {
  "use strict";
  const V = () => window.canvasView;
  const P = () => window.canvasPanels;
  const content = () => window.canvasModel.saved(page.model, V().where());

  function saving() {
    const input = P().el("input", { value: page.state.name, maxlength: 120, "aria-label": P().say("scene_name"), id: "canvas-scene-name" });
    const send = async (event) => {
      event.preventDefault();
      page.state.name = input.value.trim();
      box.close();
      const answer = await page.ask("save", { name: page.state.name, content: content(), scene: page.state.scene, version: page.state.version });
      if (!answer.scene) return;
      Object.assign(page.state, { scene: answer.scene, version: answer.version });
      // Only the address changes: the page stays as it is.
      window.history.replaceState(null, "", `/canvas?scene=${page.state.scene}`);
      page.tools();
    };
    const box = P().dialog(P().say("save_title"), P().el("form", { onsubmit: send },
      P().el("label", {}, P().say("scene_name"), input),
      P().el("div", { class: "cv-actions" },
        P().el("button", { type: "submit", class: "cv-button cv-strong", id: "canvas-save-now" }, P().say("save")),
        P().button("cancel", () => box.close()))));
    input.focus();
  }

  async function listing() {
    const answer = await page.ask("scenes", {});
    const box = P().dialog(P().say("scenes_title"),
      (answer.scenes || []).length ? P().el("ul", { class: "cv-scenes" }, ...answer.scenes.map((scene) =>
        P().el("li", {}, P().el("a", { href: `/canvas?scene=${scene.id}` }, scene.name), P().el("small", {}, scene.told))))
        : P().el("p", {}, P().say("no_scenes")),
      P().button("close", () => box.close()));
  }

  function exporting(kind) {
    const left = window.canvasModel.filtered(page.model);
    const purpose = P().el("input", { required: "", maxlength: 200, "aria-label": P().say("purpose"), id: "canvas-purpose" });
    const text = kind === "csv" ? P().say("csv_rows", { count: left.edges.length, limit: page.limits.rows })
      : P().say("png_elements", { count: page.result.elements, limit: window.canvasModel.LIMIT });
    const send = async (event) => {
      event.preventDefault();
      box.close();
      await (kind === "csv" ? csv(left, purpose.value) : png(purpose.value));
    };
    const box = P().dialog(P().say(`${kind}_title`), P().el("p", {}, text), P().el("form", { onsubmit: send },
      P().el("label", {}, P().say("purpose"), purpose),
      P().el("div", { class: "cv-actions" },
        P().el("button", { type: "submit", class: "cv-button cv-strong", id: "canvas-export-now", disabled: kind === "csv" && left.edges.length > page.limits.rows }, P().say("export")),
        P().button("cancel", () => box.close()))));
    purpose.focus();
  }

  async function csv(left, purpose) {
    const whole = content();
    const shown = new Set(left.edges.map((edge) => edge.key));
    const edges = whole.edges.filter((_, number) => shown.has(page.model.now.edges[number]));
    await window.parts.fetch_file("/canvas/links.csv", { edges, purpose }, "links.csv");
  }

  async function png(purpose) {
    const answer = await page.ask("png", { purpose, nodes: page.result.left.nodes.map(page.name), elements: page.result.elements });
    if (!answer.mark) return;
    const image = await createImageBitmap(await V().picture());
    const sheet = document.createElement("canvas");
    Object.assign(sheet, { width: Math.max(image.width, 900), height: image.height + 56 });
    const pen = sheet.getContext("2d");
    pen.fillStyle = V().background();
    pen.fillRect(0, 0, sheet.width, sheet.height);
    pen.drawImage(image, (sheet.width - image.width) / 2, 0);
    pen.fillStyle = V().ink();
    pen.font = "24px sans-serif";
    pen.fillText(answer.mark, 16, sheet.height - 18, sheet.width - 32);
    sheet.toBlob((blob) => window.parts.keep(blob, "canvas.png"));
  }

  return { saving, listing, exporting };
};
