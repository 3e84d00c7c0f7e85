// Says when a page that moves has lost its server: it would look as if nothing happened.
document.addEventListener("htmx:sseError", () => { document.getElementById("lost").hidden = false; });
for (const name of ["htmx:sseOpen", "htmx:sseMessage"]) {
  document.addEventListener(name, () => { document.getElementById("lost").hidden = true; });
}
// What is opened stays open when its part of the page is replaced.
let open = [];
document.addEventListener("htmx:sseBeforeMessage", () => {
  open = [...document.querySelectorAll("#live details[open][id]")].map((d) => d.id);
});
document.addEventListener("htmx:sseMessage", () => {
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
});
