/** The tabs of the panel: one is chosen, and its pane is shown. */
import { byId } from "./dom.js";
import { TABS, view } from "./view.js";

let opened = "";

/** Another tab or region opens at its beginning, also where the page scrolls instead of the panel. */
function toBeginning() {
  const now = `${view.region} ${view.tab}`;
  if (opened && now !== opened) {
    byId("panel").scrollTop = 0;
    if (byId("panel").getBoundingClientRect().top < 0) byId("panel").scrollIntoView();
  }
  opened = now;
}

/** Show the pane of the chosen tab, and mark the tab. */
export function markPanes() {
  for (const name of TABS) {
    byId(`pane-${name}`).hidden = name !== view.tab;
    byId(`tab-${name}`).setAttribute("aria-selected", String(name === view.tab));
    byId(`tab-${name}`).tabIndex = name === view.tab ? 0 : -1;
  }
  document.body.dataset.tab = view.tab;
  byId("pane-title").textContent = byId(`tab-${view.tab}`).textContent;
  byId("pane-title").hidden = ["plan", "forecast"].includes(view.tab);
  toBeginning();
}
