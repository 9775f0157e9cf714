/** Texts of the map, of comparing, of the wall screen and of several regions. */

export const MAP_MESSAGES = {
  en: {
    more: "More choices",
    wallScreen: "For a wall screen or another page", wallScreenText: "The map alone. It goes with the clock and follows new data by itself. Give the screen a reader's key of its own.", wall_dark: "Dark", wall_light: "Light",
    keyStays: "Keep it on this screen", keyStaysText: "For wall screens: it then stays in this browser until it is forgotten. Only a key that may do no more than read can stay.",
    keyStaysNot: "This key may do more than read, so it cannot stay on a screen. Make a key with the role reader for it.",
    allRegionsTitle: "All regions at a glance", findRegion: "Find a region", regionsFound: "{n} of {all} regions", expectedTonight: "Expected tonight", notRead: "not available",
    tonightIs: "Tonight: 18:00 to 06:00 in the region's own time. Dates over four weeks old, and open alarms, are marked.",
    earlierOnes: "single ones are dated before, from {date} on", compare: "Compare", vsHow: "Show", vs_: "This forecast alone", vs_side: "Side by side", vs_difference: "Difference", same: "The same", whateverServes: "Whatever serves",
    contrast: "Difference of the two", contrastUnit: "incidents expected per cell: more (orange) or fewer (purple) than in the other",
    comparedWith: "Compared with {other}: {n} incidents expected here, {m} there.", unlikeCells: "Their cells differ, so there is no difference by cell.",
    cellKeys: "By keyboard: Enter on the map takes the cell in its middle, arrow keys its neighbours, Escape lets go.",
  },
  es: {
    more: "Más opciones",
    wallScreen: "Para una pantalla mural u otra página", wallScreenText: "Solo el mapa. Sigue el reloj y los datos nuevos por sí mismo. Dé a la pantalla una clave de lector propia.", wall_dark: "Oscura", wall_light: "Clara",
    keyStays: "Conservarla en esta pantalla", keyStaysText: "Para pantallas murales: se queda en este navegador hasta que se olvide. Solo se conserva una clave que no permita más que leer.",
    keyStaysNot: "Esta clave permite más que leer, así que no se conserva en una pantalla. Cree para ella una clave con el rol lector.",
    allRegionsTitle: "Todas las regiones", findRegion: "Buscar una región", regionsFound: "{n} de {all} regiones", expectedTonight: "Esperados esta noche", notRead: "no disponible",
    tonightIs: "Esta noche: de 18:00 a 06:00, hora de cada región. Se marcan las fechas de más de cuatro semanas y las alarmas abiertas.",
    earlierOnes: "algunos llevan fechas anteriores, desde el {date}", compare: "Comparar", vsHow: "Mostrar", vs_: "Solo este pronóstico", vs_side: "Lado a lado", vs_difference: "Diferencia", same: "Lo mismo", whateverServes: "El que esté en servicio",
    contrast: "Diferencia entre los dos", contrastUnit: "incidentes esperados por celda: más (naranja) o menos (morado) que en el otro",
    comparedWith: "Comparado con {other}: {n} incidentes esperados aquí, {m} allí.", unlikeCells: "Sus celdas son distintas: no hay diferencia por celda.",
    cellKeys: "Con el teclado: Intro en el mapa toma la celda del centro; las flechas, sus vecinas; Escape la suelta.",
  },
};
