/** Texts about last year's counts and about places of one's own, scored on a past period. @type {Record<string, Record<string, string>>} */
export const OWN_PLACES = {
  en: {
    pastCounts: "last year's counts", pastCountsHourly: "last year's counts by hour",
    pastMore: "It catches more than a list of last year's fullest cells", pastLess: "It catches less than a list of last year's fullest cells",
    pastSame: "It catches about as many as a list of last year's fullest cells",
    pastRange: "The difference lies between {lo} and {hi} incidents (95 %).",
  },
  es: {
    pastCounts: "recuento del último año", pastCountsHourly: "recuento del último año por hora",
    pastMore: "Capta más que una lista de las celdas con más incidentes del último año", pastLess: "Capta menos que una lista de las celdas con más incidentes del último año",
    pastSame: "Capta más o menos tantos como una lista de las celdas con más incidentes del último año",
    pastRange: "La diferencia está entre {lo} y {hi} incidentes (95 %).",
  },
};
