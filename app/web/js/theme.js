/** Light or dark: as the address says (`theme=dark`), else as the system prefers; settled when the page is loaded. */

const asked = new URLSearchParams(location.search).get("theme");

export const isDark = asked === "dark" || (asked !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);

document.documentElement.dataset.theme = isDark ? "dark" : "light";
