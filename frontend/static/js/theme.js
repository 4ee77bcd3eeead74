// The switch between light and dark. The choice is a cookie, so that the server can put it on the
// page before the first paint and nothing flashes.

const YEAR = 365 * 24 * 3600;

export function init(button) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is not in every browser
    document.cookie = `theme=${theme}; Path=/; Max-Age=${YEAR}; SameSite=Strict`;
    document.dispatchEvent(new CustomEvent("themechange"));
  });
}

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
