/** Texts of layers of areas, in English and Spanish. */

export const LAYERS = {
  en: {
    areas: "Areas", areasOf: "Names and totals of", areasNone: "No layer", neighbourhoodsLayer: "Neighbourhoods",
    area: "Area", areaExpected: "Expected", areaRange: "90 %", areaShare: "Share",
    areasCaption: "Incidents expected by area, {when}", areasMore: "All {n} areas", areasFewer: "First {n} only",
    areasWait: "Totals are on their way …", areasSave: "Save as CSV",
  },
  es: {
    areas: "Zonas con nombre", areasOf: "Nombres y totales de", areasNone: "Ninguna capa", neighbourhoodsLayer: "Barrios",
    area: "Zona", areaExpected: "Esperados", areaRange: "90 %", areaShare: "Parte",
    areasCaption: "Incidentes esperados por zona, {when}", areasMore: "Las {n} zonas", areasFewer: "Solo las primeras {n}",
    areasWait: "Los totales están en camino …", areasSave: "Guardar como CSV",
  },
};
