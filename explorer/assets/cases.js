// Cases in the browser: rows that lead to their case, the export, the report's button.
window.dash_clientside = window.dash_clientside || {};
(() => {
  const go = (id) => window.parts.go(`/cases/${encodeURIComponent(id)}`);
  const rowOf = (target) => target && target.closest && target.closest("#cases-table .ag-center-cols-container .ag-row");

  document.addEventListener("click", (event) => {
    if (event.target.closest && event.target.closest("[data-print]")) { window.print(); return; }
    const row = rowOf(event.target);
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey || String(window.getSelection())) return;
    event.preventDefault();
    go(row.getAttribute("row-id"));
  });
  document.addEventListener("keydown", (event) => {
    const row = rowOf(event.target);
    if (row && event.key === "Enter") { event.preventDefault(); go(row.getAttribute("row-id")); }
  });

  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  cells.CaseName = ({ data }) => window.React.createElement(
    "a", { href: `/cases/${encodeURIComponent(data.id)}`, className: "cs-link", tabIndex: -1 }, data.title);

  async function export_rows(clicks, asked, purpose) {
    if (!clicks) return window.dash_clientside.no_update;
    return window.parts.fetch_file("/cases.csv", { ...asked, purpose: purpose || "" }, "cases.csv");
  }

  // How many rows a file would have is told before anybody asks for it.
  const tell_export = (asked) => (asked ? [asked.export.told, asked.export.full || !asked.count] : ["", true]);

  window.dash_clientside.cases = { export_rows, tell_export };
})();
