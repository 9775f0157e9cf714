/** Texts about streets. @type {Record<string, Record<string, string>>} */
export const STREET_MESSAGES = {
  en: { nearestStreets: "Nearest streets" },
  es: { nearestStreets: "Calles más próximas" },
};
