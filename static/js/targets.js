// The form of a service: shows the chosen driver's fields, adds and removes nodes without a reload.

const card = document.querySelector("[data-nodes]");
const rows = card.querySelector("[data-rows]");
const blank = card.querySelector("template");
const total = document.getElementById("id_nodes-TOTAL_FORMS");
const kept = Number(document.getElementById("id_nodes-INITIAL_FORMS").value);
const add = card.querySelector("[data-add]");

function control(row) {
  return row.querySelector("select[name$='-control']");
}

function removal(row) {
  return row.querySelector("input[name$='-DELETE']");
}

function draw(row) {
  for (const group of row.querySelectorAll("[data-driver]")) {
    group.hidden = group.dataset.driver !== control(row).value;
  }
  row.hidden = removal(row).checked;
  const shown = [...rows.children].filter((one) => !one.hidden);
  shown.forEach((one, i) => { one.querySelector("legend").textContent = `Node ${i + 1}`; });
  for (const one of shown) removal(one).closest(".field").hidden = shown.length === 1;
}

function untouched(row) {
  return !row.querySelector(".errors") && !control(row).value
    && ["name", "address", "upstream"].every((name) => !row.querySelector(`input[name$='-${name}']`).value);
}

function addRow() {
  const number = Number(total.value);
  const html = blank.innerHTML.replaceAll("__prefix__", String(number));
  rows.insertAdjacentHTML("beforeend", html);
  total.value = String(number + 1);
  const row = rows.lastElementChild;
  draw(row);
  row.querySelector("input").focus();
}

while (rows.children.length > Math.max(1, kept) && untouched(rows.lastElementChild)) {
  rows.lastElementChild.remove();
  total.value = String(rows.children.length);
}
for (const row of rows.children) draw(row);
rows.addEventListener("change", (event) => draw(event.target.closest("[data-row]")));
add.hidden = false;
add.addEventListener("click", addRow);
rows.closest("form").querySelector("[aria-invalid='true']")?.focus();
