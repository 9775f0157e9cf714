/** Texts of the map, of comparing, of the wall screen and of several regions. */

export const MAP_MESSAGES = {
  en: {
    more: "More choices",
    compare: "Compare", vsHow: "Show", vs_: "This forecast alone", vs_side: "Side by side", vs_difference: "Difference", same: "The same", whateverServes: "Whatever serves",
    contrast: "Difference of the two", contrastUnit: "incidents expected per cell: more (orange) or fewer (purple) than in the other",
    comparedWith: "Compared with {other}: {n} incidents expected here, {m} there.", unlikeCells: "Their cells differ, so there is no difference by cell.",
    cellKeys: "By keyboard: Enter on the map takes the cell in its middle, arrow keys its neighbours, Escape lets go.",
    stepReading: "reading incidents", stepValidating: "testing on past weeks", stepLearning: "learning", stepTesting: "looking for memorised incidents",
    stepCounts: "learning how many to expect", stepRegistering: "storing the version", stepFits: "{n} of {all} fits",
  },
  es: {
    more: "Más opciones",
    compare: "Comparar", vsHow: "Mostrar", vs_: "Solo este pronóstico", vs_side: "Lado a lado", vs_difference: "Diferencia", same: "Lo mismo", whateverServes: "El que esté en servicio",
    contrast: "Diferencia entre los dos", contrastUnit: "incidentes esperados por celda: más (naranja) o menos (morado) que en el otro",
    comparedWith: "Comparado con {other}: {n} incidentes esperados aquí, {m} allí.", unlikeCells: "Sus celdas son distintas: no hay diferencia por celda.",
    cellKeys: "Con el teclado: Intro en el mapa toma la celda del centro; las flechas, sus vecinas; Escape la suelta.",
    stepReading: "leyendo incidentes", stepValidating: "probando con semanas pasadas", stepLearning: "aprendiendo", stepTesting: "buscando incidentes memorizados",
    stepCounts: "aprendiendo cuántos esperar", stepRegistering: "guardando la versión", stepFits: "{n} de {all} ajustes",
  },
};
