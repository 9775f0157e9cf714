/** Texts of the map, of comparing, of the wall screen and of several regions. */

export const MAP_MESSAGES = {
  en: {
    more: "More choices",
    cellKeys: "By keyboard: Enter on the map takes the cell in its middle, arrow keys its neighbours, Escape lets go.",
    stepReading: "reading incidents", stepValidating: "testing on past weeks", stepLearning: "learning", stepTesting: "looking for memorised incidents",
    stepCounts: "learning how many to expect", stepRegistering: "storing the version", stepFits: "{n} of {all} fits",
  },
  es: {
    more: "Más opciones",
    cellKeys: "Con el teclado: Intro en el mapa toma la celda del centro; las flechas, sus vecinas; Escape la suelta.",
    stepReading: "leyendo incidentes", stepValidating: "probando con semanas pasadas", stepLearning: "aprendiendo", stepTesting: "buscando incidentes memorizados",
    stepCounts: "aprendiendo cuántos esperar", stepRegistering: "guardando la versión", stepFits: "{n} de {all} ajustes",
  },
};
