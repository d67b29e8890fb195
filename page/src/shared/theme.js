// Light and dark: the system's choice until the reader chooses; colours come from the CSS variables.

const dark = matchMedia("(prefers-color-scheme: dark)");

/** Follow "light", "dark" or, with null, the system. */
export function dress(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

export const isDark = (theme) => (theme ? theme === "dark" : dark.matches);

/** Call `listener` when the system changes between light and dark. */
export const onSystem = (listener) => dark.addEventListener("change", listener);

/** Value of a CSS variable, such as `ink`. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
