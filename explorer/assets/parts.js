// A button with data-copy puts its text on the clipboard and says so for a moment.
(() => {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest && event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      // No clipboard here (plain HTTP): the command is selected, so that Ctrl C takes it.
      window.getSelection().selectAllChildren(button.previousElementSibling);
      return;
    }
    const before = button.textContent;
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = before; }, 1500);
  });
})();

// What screens share: going to a page as its links do, and writing files.
window.parts = (() => {
  const csrf = () => decodeURIComponent((document.cookie.match(/(?:^|; )_csrf_token=([^;]*)/) || [])[1] || "");

  function go(path) {
    window.history.pushState({}, "", path);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    window.scrollTo(0, 0);
  }

  function keep(blob, file) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = file;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // Asks an export for its file and keeps it; the sentence that says why there is none, or nothing.
  async function fetch_file(path, asked, file) {
    const answer = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json", "X-CSRFToken": csrf() }, body: JSON.stringify(asked),
    });
    if (!answer.ok) {
      try { return (await answer.json()).sentence || ""; } catch { return ""; }
    }
    keep(await answer.blob(), file);
    return "";
  }

  return { csrf, go, keep, fetch_file };
})();
