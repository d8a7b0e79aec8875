// The collector's screen: what is clicked or typed becomes a question in a store; the answer is the whole screen anew.
(() => {
  const place = () => document.getElementById("leads");
  const value = (id) => (document.getElementById(id) || {}).value || "";
  let count = 0;

  const ask = (kind, more) => {
    const body = document.getElementById("leads-body");
    if (!body || body.classList.contains("ld-busy")) return;
    count += 1;
    window.dash_clientside.set_props(`leads-ask-${kind}`, { data: { ...more, n: `${Date.now()}-${count}` } });
  };

  const act = (button) => {
    const { leads: kind, lead, call, outcome } = button.dataset;
    if (kind === "purpose") {
      window.dash_clientside.set_props("leads-purpose", { value: button.textContent });
      document.getElementById("leads-open").focus();
    } else if (kind === "open") {
      ask("open", { lead, purpose: value("leads-purpose") });
    } else if (kind === "tell") {
      ask("tell", { call, outcome });
    } else if (kind === "bar") {
      ask("bar", { lead, reason: value("leads-reason") });
    } else if (kind === "give") {
      ask("give", { lead, colleague: value("leads-colleague") });
    } else if (kind === "look") {
      ask("look", { lead });
    } else {
      ask("again", {});
    }
  };

  document.addEventListener("click", (event) => {
    const button = place() && event.target.closest && event.target.closest("[data-leads]");
    if (button) act(button);
  });

  const step = (by) => {
    const items = [...document.querySelectorAll(".ld-item")];
    if (!items.length) return;
    const at = items.indexOf(document.activeElement);
    const from = at < 0 ? items.findIndex((item) => item.getAttribute("aria-current") === "true") : at;
    items[Math.min(items.length - 1, Math.max(0, from + by))].focus();
  };

  // 1 to 5 say how a call ended, j and k walk through the list, p goes to the purpose; signs typed into a field do not.
  document.addEventListener("keydown", (event) => {
    if (!place() || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.id === "leads-purpose" && event.key === "Enter") {
      event.preventDefault();
      act(document.getElementById("leads-open"));
    }
    if (/^(input|textarea|select)$/i.test(event.target.tagName)) return;
    if (/^[1-5]$/.test(event.key)) {
      const button = document.querySelectorAll(".ld-outcome")[Number(event.key) - 1];
      if (button) { event.preventDefault(); act(button); }
    } else if (event.key === "p" && document.getElementById("leads-purpose")) {
      event.preventDefault();
      document.getElementById("leads-purpose").focus();
    } else if (event.key === "j" || event.key === "k") {
      event.preventDefault();
      step(event.key === "j" ? 1 : -1);
    }
  });

  // After an answer the keys go on from where the work goes on; a list that is walked through keeps them.
  const after = () => {
    const body = document.getElementById("leads-body");
    if (!body || !place().contains(document.activeElement) && document.activeElement !== document.body) return;
    const goal = body.querySelector("[data-focus]");
    if (goal) goal.focus({ preventScroll: false });
  };
  new MutationObserver((changes) => {
    const body = document.getElementById("leads-body");
    if (body && count && changes.some((change) => change.type === "childList" && body === change.target)) after();
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
