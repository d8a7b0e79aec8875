// What the frame does in the browser: keys, sign-out, and what becomes of an answer that is no answer.
window.dash_clientside = window.dash_clientside || {};
window.dash_clientside.shell = {
  open_help: () => true,

  // Another language: every sentence of the page is asked for anew.
  reload: (language) => { if (language) window.location.reload(); },

  fold: (opened, navbar) => ({ ...navbar, collapsed: { mobile: !opened } }),

  // The reader has come to a page: its link is marked, and its name stands in the window's title.
  arrive: (path) => {
    let name = "";
    document.querySelectorAll(".cg-nav").forEach((link) => {
      const href = link.getAttribute("href");
      if (path === href || path.startsWith(`${href}/`)) {
        link.setAttribute("aria-current", "page");
        name = link.textContent;
      } else {
        link.removeAttribute("aria-current");
      }
    });
    document.title = name ? `${name} · credit-graph` : "credit-graph";
  },
};

(() => {
  const wait = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
  const tell = async (answer) => {
    let sentence = "";
    try { sentence = (await answer.clone().json()).sentence || ""; } catch { return; }
    const place = document.getElementById("shell-trouble");
    if (!sentence || !place) return;
    window.dash_clientside.set_props("shell-trouble", { children: sentence });
  };

  const fetched = window.fetch.bind(window);
  window.fetch = async (...request) => {
    let answer = await fetched(...request);
    // 503 comes before anything was done, so asking again does nothing twice.
    for (let tries = 0; answer.status === 503 && answer.headers.get("Retry-After") && tries < 3; tries += 1) {
      await wait(Number(answer.headers.get("Retry-After")) * (1 + Math.random()));
      answer = await fetched(...request);
    }
    if (answer.status === 401) {
      const here = window.location.pathname + window.location.search;
      window.location.assign(`/login?next=${encodeURIComponent(here)}`);
      return new Promise(() => {}); // the page is being left: nobody is to complain of the answer
    } else if (answer.status >= 400) {
      tell(answer);
    }
    return answer;
  };

  // Every sign that a reader types keeps the keys for the text.
  const typing = (target) => target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName);
  document.addEventListener("keydown", (event) => {
    if (typing(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      const search = document.getElementById("shell-search");
      if (search) { event.preventDefault(); search.focus(); }
    } else if (event.key === "?") {
      event.preventDefault();
      window.dash_clientside.set_props("shell-help", { opened: true });
    }
  });

  const close = (menu) => { if (menu && menu.open) menu.open = false; };
  document.addEventListener("click", (event) => {
    const menu = document.getElementById("shell-menu");
    if (menu && !menu.contains(event.target)) close(menu);
  });
  document.addEventListener("keydown", (event) => {
    const menu = document.getElementById("shell-menu");
    if (event.key !== "Escape" || !menu || !menu.open) return;
    close(menu);
    document.getElementById("shell-user").focus();
  });

  document.addEventListener("click", async (event) => {
    if (!event.target.closest || !event.target.closest("#shell-sign-out")) return;
    await fetched("/logout", { method: "POST", headers: { "X-CSRFToken": window.parts.csrf() }, redirect: "manual" });
    window.location.assign("/login");
  });
})();
