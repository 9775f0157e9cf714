/** Texts about whether what happened looked like what was forecast, gains and lists. @type {Record<string, Record<string, string>>} */
export const CONSISTENCY = {
  en: {
    consistencyTitle: "Was the number of incidents as forecast?",
    consistencyHow: "Each period is compared with thousands drawn from the forecast; it fails if its number is lower or higher than nearly all of them. A correct forecast passes in 95 periods of 100.",
    passedN: "In {n} of {of} periods the number of incidents looked like what was forecast.", failedN: "From {date}: the number was not as forecast.",
    gainMore: "Hours, places and number together, it foresaw incidents better than {name} with last year's mean number: {gain} each (95 %: {lo} to {hi}).",
    gainLess: "Hours, places and number together, it foresaw incidents worse than {name} with last year's mean number: {gain} each (95 %: {lo} to {hi}).",
    gainSame: "Hours, places and number together, no clear gain over {name} with last year's mean number: {gain} for each incident (95 %: {lo} to {hi}).",
    listTitle: "Near misses, and how steady the list is",
    nearMisses: "Agreement of the top {top} % with the fullest cells, within",
    nearHow: "1 is full agreement, 0 none. Within a distance, a cell marked next door counts in part.",
    turnoverLeft: "Cells of the top {top} % that leave the list until the next period", turnoverBack: "Of the cells that left, came back later",
  },
  es: {
    consistencyTitle: "¿El número de incidentes fue el pronosticado?",
    consistencyHow: "Cada período se compara con miles sorteados del pronóstico; no pasa si su número es menor o mayor que en casi todos ellos. Un pronóstico correcto pasa en 95 períodos de cada 100.",
    passedN: "En {n} de {of} períodos el número de incidentes se parecía a lo pronosticado.", failedN: "Desde el {date}: el número no fue el pronosticado.",
    gainMore: "Horas, lugares y número juntos, previó los incidentes mejor que {name} con el número medio del último año: {gain} cada uno (95 %: {lo} a {hi}).",
    gainLess: "Horas, lugares y número juntos, previó los incidentes peor que {name} con el número medio del último año: {gain} cada uno (95 %: {lo} a {hi}).",
    gainSame: "Horas, lugares y número juntos, sin ventaja clara sobre {name} con el número medio del último año: {gain} por incidente (95 %: {lo} a {hi}).",
    listTitle: "Aciertos cercanos y constancia de la lista",
    nearMisses: "Coincidencia del {top} % primero con las celdas de más incidentes, a menos de",
    nearHow: "1 es coincidencia total, 0 ninguna. Dentro de una distancia, una celda vecina marcada cuenta en parte.",
    turnoverLeft: "Celdas del {top} % primero que dejan la lista hasta el período siguiente", turnoverBack: "De las que la dejaron, volvieron después",
  },
};
