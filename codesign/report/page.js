// Adds sorting and a filter to the table of designs. Without it the page says the same.
"use strict";
(() => {
  const table = document.getElementById("all-designs");
  const body = table.tBodies[0];
  const key = (row, column) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();

  function sort(header, column) {
    const up = header.getAttribute("aria-sort") !== "ascending";
    const order = (a, b) => key(a, column).localeCompare(key(b, column), "en", { numeric: true });
    const number = (a, b) => Number(key(a, column)) - Number(key(b, column));
    const rows = [...body.rows];
    const numeric = rows.every((row) => !Number.isNaN(Number(key(row, column))));
    rows.sort((a, b) => (up ? 1 : -1) * (numeric ? number : order)(a, b));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...rows);
  }

  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sort(header, column));
  });

  const filter = document.getElementById("filter");
  filter.hidden = false;
  filter.querySelector("input").addEventListener("change", (event) => {
    table.classList.toggle("only-feasible", event.target.checked);
  });
})();
