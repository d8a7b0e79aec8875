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
