// The storefront page: puts its parts together and wires the head of the page.

import { setKey } from "./api.js";
import { byId, icon } from "./dom.js";
import { Front } from "./front.js";
import { Hood } from "./hood.js";
import { Notices } from "./notices.js";
import { People } from "./people.js";

const notices = new Notices(() => front.refresh());
const front = new Front(notices, new Hood());
new People((keep) => front.changeShopper(keep), (problem) => notices.report(problem));

function searchBox() {
  const box = byId("query");
  byId("search").querySelector("button").append(icon("search"));
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const query = box.value.trim();
    if (query) front.find(query);
    else front.closeSearch();
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, textarea, select, dialog")) return;
    event.preventDefault();
    box.focus();
  });
}

function dialogs() {
  for (const shut of document.querySelectorAll(".shut")) {
    if (shut.classList.contains("round")) shut.append(icon("close"));
    shut.addEventListener("click", () => shut.closest("dialog").close());
  }
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("mousedown", ({ target, clientX: x, clientY: y }) => {
      const box = dialog.getBoundingClientRect();
      if (target === dialog && (x < box.left || x > box.right || y < box.top || y > box.bottom)) dialog.close();
    });
  }
  byId("key-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    setKey(byId("key-input").value.trim());
    byId("key-input").value = "";
    byId("key").close();
    notices.clear("error");
    await front.refresh();
    await front.stock();
  });
}

function theme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = byId("theme-button");
  const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const paint = () => {
    button.replaceChildren(icon(dark() ? "sun" : "moon"));
    button.setAttribute("aria-label", dark() ? "Light theme" : "Dark theme");
  };
  system.addEventListener("change", paint);
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try {
      localStorage.setItem("windowshop.theme", root.dataset.theme);
    } catch {
      // chosen for this page only
    }
    paint();
  });
  paint();
}

byId("who-button").prepend(icon("user"));
byId("cart-button").prepend(icon("cart"));
searchBox();
dialogs();
theme();
front.refresh().then(() => front.stock());
