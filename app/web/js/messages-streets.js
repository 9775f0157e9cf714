/** Texts about streets. @type {Record<string, Record<string, string>>} */
export const STREET_MESSAGES = {
  en: {
    nearestStreets: "Nearest streets",
    streetScores: "Share of incidents caught by the best streets", streetsList: "List",
    streetsMore: "On streets it catches more than a list of the streets with the most incidents last year", streetsLess: "On streets it catches less than a list of the streets with the most incidents last year",
    streetsSame: "On streets it catches about as many as a list of the streets with the most incidents last year",
    streetsCatch: "In the top {top} % of street length: {ours} against {others}, of {n} incidents.",
    streetsCells: "Its cells alone, without knowing which of their streets: {hits}.",
    streetsByHour: "each hour its own list", streetsByCounts: "last year's counts", streetsByCells: "its cells alone",
    streetsHow: "All lists are equally long, of {km} km of streets. Last year's list has the streets with the most incidents per km in the 365 days before.",
    streetsFar: "{n} incidents happened far from every street: no list catches them.",
  },
  es: {
    nearestStreets: "Calles más próximas",
    streetScores: "Parte de los incidentes captada por las primeras calles", streetsList: "Lista",
    streetsMore: "Por calles capta más que una lista de las calles con más incidentes del último año", streetsLess: "Por calles capta menos que una lista de las calles con más incidentes del último año",
    streetsSame: "Por calles capta más o menos tantos como una lista de las calles con más incidentes del último año",
    streetsCatch: "En el {top} % de la longitud de calles con más incidentes esperados: {ours} frente a {others}, de {n} incidentes.",
    streetsCells: "Sus celdas solas, sin saber cuál de sus calles: {hits}.",
    streetsByHour: "cada hora con su lista", streetsByCounts: "recuento del último año", streetsByCells: "sus celdas solas",
    streetsHow: "Todas las listas tienen la misma longitud, de {km} km de calles. La lista del último año tiene las calles con más incidentes por km en los 365 días anteriores.",
    streetsFar: "{n} incidentes ocurrieron lejos de toda calle: ninguna lista los capta.",
  },
};
