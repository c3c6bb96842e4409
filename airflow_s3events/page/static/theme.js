// Before the first paint: the theme that was chosen in Airflow's own UI, if one was.
// Airflow 3 keeps "light", "dark" or "system" under "theme", Airflow 2 "true" or "false" under "darkTheme".
(() => {
  const kept = (name) => {
    try {
      return window.localStorage.getItem(name);
    } catch {
      return null;
    }
  };
  const chosen = kept("theme") ?? { true: "dark", false: "light" }[kept("darkTheme")];
  if (chosen === "light" || chosen === "dark") {
    document.documentElement.dataset.theme = chosen;
  }
})();
