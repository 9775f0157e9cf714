/** Texts about why a place's forecast is what it is. @type {Record<string, Record<string, string>>} */
export const WHY_MESSAGES = {
  en: {
    why: "Why here", whyLoading: "Looking…", whyFailed: "The reasons cannot be shown: {message}",
    whyWhole: "{times} times an average place of the city at an average hour",
    whyParts: "What multiplies to it",
    why_long_run: "All year", why_drift: "Trend of months", why_recent: "Last weeks", why_near_repeats: "Near repeats",
    why_category: "These kinds", why_state: "Since the training", why_own_hours: "Its own hours", why_city_hours: "The city's hours",
    whyMonths: "Incidents by month, {from} to {to}: {n}", whyMonth: "{month}: {n}",
  },
  es: {
    why: "Por qué aquí", whyLoading: "Buscando…", whyFailed: "No se pueden mostrar las razones: {message}",
    whyWhole: "{times} veces un lugar medio de la ciudad a una hora media",
    whyParts: "Lo que se multiplica hasta ese valor",
    why_long_run: "Todo el año", why_drift: "Tendencia de meses", why_recent: "Últimas semanas", why_near_repeats: "Repeticiones cercanas",
    why_category: "Estos tipos", why_state: "Desde el entrenamiento", why_own_hours: "Sus propias horas", why_city_hours: "Las horas de la ciudad",
    whyMonths: "Incidentes por mes, de {from} a {to}: {n}", whyMonth: "{month}: {n}",
  },
};
