// Before the first paint, so that a chosen theme never flashes. A classic script: modules run later.
try {
  const chosen = localStorage.getItem("windowshop.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // no storage: the system's preference holds
}
