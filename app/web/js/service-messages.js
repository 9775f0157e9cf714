/**
 * Messages of the service by their code, in English and Spanish.
 *
 * `{name}` is filled from the message's params: numbers and lists as the language writes them, or as the
 * format after the colon says. A test compares this table with the service's.
 */
import { count, currentLanguage, fixed, number } from "./i18n.js";
import { dayText, monthText } from "./time.js";

export const SERVICE_MESSAGES = {
  en: {
    stale: "The forecast is for {days} days after the model's data end: retrain on newer data.",
    in_sample: "The model has seen the incidents of this hour: a good fit here proves nothing.",
    in_sample_incidents: "The model has seen {n} of these {n_scored} incidents: a good fit to them proves nothing.",
    thin_data: "Thin data: trained on only {n} incidents.",
    default_geocodes_excluded: "{n} incidents at {n_points} default geocodes were left out.",
    small_counts_hidden: "{n_cells} cells with fewer than {minimum_count} incidents share one density: their differences are hidden.",
    small_counts_not_hidden: "Trained before counts below {minimum_count} had to be hidden: this version does not hide them. Train again.",
    incidents_outside: "{n} incidents outside the study area were left out.",
    unknown_times: "{n} incidents are timed {at}, which mostly stands for unknown times: forecasts place them there.",
    boundary_derived: "The study area was derived from the incidents; no boundary was given.",
    partial_delivery: "Incidents since {since:day} seem to have arrived only in part: expected counts follow what came before.",
    delivery_gap: "Almost no incidents from {first:day} to {last:day}: treated as missing data.",
    patrol_categories_excluded: "Not learnt from, since they mostly reflect patrol activity: {categories}.",
    patrol_categories_learnt: "Learnt from although they mostly reflect patrol activity: {categories}.",
    discovered_incidents_learnt: "The model learnt from incidents that patrols discovered: feedback is possible.",
    new_incidents: "{n} incidents up to {until:day} have arrived since the model's data end.",
    champion_damaged: "The serving version {champion} failed its integrity check. {version}, which served before, answers in its place. Train again.",
    version_damaged: "Version {version} is left out: its record is not what was registered.",
    until_moved_to_release: "Training ends at a release: readers see incidents in steps of at least {minimum_count}.",
    periods_moved_to_releases: "Test periods start and end at releases: readers see at least {minimum_count} incidents together.",
    volume_alarm: "Volume alarm: {observed} incidents in the {days} days since {since:day}; {expected:whole} ({low:whole}–{high:whole}) were expected.",
    calibration_alarm: "Calibration alarm: {observed} of {n} hourly counts since {since:day} lie outside their 90 % intervals; {expected:whole} were expected.",
    place_alarm: "Place alarm: incidents since {since:day} lie where the forecast is thinner than it expects, more than when it was validated.",
    rollback_alarm: "Rolled back to {to}: {version} did worse on incidents that arrived since.",
    volume_alarm_redacted: "Volume alarm: the number of incidents differs from the expected one.",
    calibration_alarm_redacted: "Calibration alarm: more hourly counts than expected lie outside their 90 % intervals.",
    place_not_scored: "Not judged: no live scores yet.",
    place_not_validated: "Not judged: the version was not validated.",
    rows_rejected: "Rejected rows: {n} of {received}.",
    looks_swapped: "Rows whose longitude and latitude look swapped: {n}. Exchange the two columns and send the file again.",
    outside_study_area: "Rows over 1 km outside the study area: {n}. Is it the right region? If so, there is nothing to do.",
    zero: "Rows at 0/0, which is not a place: {n}. Geocode them, or leave them out.",
    not_degrees: "Rows in metres, not degrees: {n}. Name their coordinate system under “Columns” and send the file again.",
    ambiguous_date: "Rows whose day and month are ambiguous: {n}. Give the format of the times under “Columns”, such as %m/%d/%Y %H:%M.",
    bad_time: "Rows without a readable date and time: {n}. Give their format under “Columns”, or correct them.",
    missing: "Rows without a time or a place: {n}. Fill them in at the source; without them they cannot be used.",
    epoch_not_accepted: "Rows with a bare number for the time: {n}. Export it as a date and time.",
    too_old: "Rows dated before 1970: {n}. Dates such as 1900 are placeholders: correct them at the source.",
    in_the_future: "Rows dated in the future: {n}. Check the time zone and the order of day and month.",
    not_a_number: "Rows whose longitude or latitude is not a number: {n}.",
    out_of_range: "Rows whose place is not on the globe, or too far from the region: {n}. Check the coordinates.",
    bad_text: "Rows with text that is too long or damaged: {n}.",
    unknown_source: "Rows with a source other than “reported” or “discovered”: {n}.",
    unreadable_row: "Unreadable rows: {n}. Look for stray quotes or separators.",
    too_many_categories: "Rows of new categories beyond the most that a region may have: {n}. Send a coarser column as the category.",
    too_many_equal_rows: "Rows with the same time, place and category as too many others: {n}. Send the incidents' numbers as external_id.",
    zone_far_from_boundary: "The boundary lies near {boundary}, {km} km from {timezone} ({zone}). Correct the time zone or the boundary if that is wrong.",
    far_away: "Rows far from all others: {n}. Check their coordinates.",
    personal_columns: "Columns about persons were not read: {columns}.",
    repeated_rows: "Rows that repeat another row of their file word for word: {n}. Several charges of one incident, or an export made twice?",
    implausible_years: "Implausible years: {by_year}. These rows were rejected; correct the dates at the source.",
    full_hours: "Times are full hours only. That is enough for hourly forecasts.",
    time_heaping: "Incidents timed exactly {at}: {n} ({share:percent} %). Most likely their time was not known: leave unknown times out of the export.",
    time_heaping_ratio: "Incidents timed exactly {at}: {n} ({share:percent} %), {times_expected:whole} times what the hours around have. Most likely their time was not known: leave unknown times out of the export.",
    late_reports: "Half of the incidents arrive within {median_hours:whole} hours, 90 % within {p90_hours:whole}, 99 % within {p99_hours:whole}.",
    bulk_loads_only: "No upload spans under {days} days: bulk loads say nothing about delays.",
    bulk_loads_excluded: "Of {n} incidents; {n_bulk} came by bulk loads, which say nothing about delays.",
    default_geocode: "Incidents on one point, {longitude:degrees}, {latitude:degrees}: {n} ({share:percent} %). A geocoder's default, not a hotspot: it is left out of trainings.",
    more_default_geocodes: "More such points: {n}.",
    rounded_coordinates: "Coordinates are rounded to {decimals} decimals: steps of about {step_m:whole} m.",
    shared_points: "{share:percent} % of incidents share their point with another; a point's nearest neighbour is typically {nearest_m:whole} m away.",
    snapped_points: "{share:percent} % of incidents share their point with another; a point's nearest neighbour is typically {nearest_m:whole} m away: snapped to corners or blocks.",
    dated_early: "Incidents dated before {before:month}, where the main series begins: {n} ({first_year} to {last_year}). Late reports or wrong dates.",
    volume_break: "The level changes in {month:month}: {before_per_day:fixed} a day before, {after_per_day:fixed} after. Did recording change?",
  },
  es: {
    stale: "El pronóstico es para {days} días después del fin de los datos: reentrene con datos nuevos.",
    in_sample: "El modelo ya vio los incidentes de esta hora: un buen ajuste aquí no prueba nada.",
    in_sample_incidents: "El modelo ya vio {n} de estos {n_scored} incidentes: un buen ajuste a ellos no prueba nada.",
    thin_data: "Pocos datos: entrenado con solo {n} incidentes.",
    default_geocodes_excluded: "Se dejaron fuera {n} incidentes en {n_points} puntos por defecto del geocodificador.",
    small_counts_hidden: "{n_cells} celdas con menos de {minimum_count} incidentes comparten una densidad: sus diferencias se ocultan.",
    small_counts_not_hidden: "Entrenado antes de que hubiera que ocultar recuentos menores de {minimum_count}: esta versión no los oculta. Entrene de nuevo.",
    incidents_outside: "Se dejaron fuera {n} incidentes fuera del área de estudio.",
    unknown_times: "{n} incidentes llevan la hora {at}, que suele significar hora desconocida: los pronósticos los ponen allí.",
    boundary_derived: "El área de estudio se derivó de los incidentes; no se dio ningún límite.",
    partial_delivery: "Los incidentes desde el {since:day} parecen haber llegado solo en parte: los recuentos esperados siguen lo anterior.",
    delivery_gap: "Casi ningún incidente del {first:day} al {last:day}: se tratan como datos que faltan.",
    patrol_categories_excluded: "No se aprende de lo que refleja sobre todo la actividad de las patrullas: {categories}.",
    patrol_categories_learnt: "Se aprende de lo siguiente, aunque refleja sobre todo la actividad de las patrullas: {categories}.",
    discovered_incidents_learnt: "El modelo aprendió de incidentes que descubrieron las patrullas: puede haber retroalimentación.",
    new_incidents: "Desde el fin de los datos del modelo han llegado {n} incidentes, hasta el {until:day}.",
    champion_damaged: "La versión en servicio {champion} no pasó su control de integridad. En su lugar responde {version}, que servía antes. Entrene de nuevo.",
    version_damaged: "La versión {version} queda fuera: su registro no es el que se guardó.",
    until_moved_to_release: "El entrenamiento termina en una publicación: los lectores ven incidentes de {minimum_count} en {minimum_count} como mínimo.",
    periods_moved_to_releases: "Los periodos de prueba empiezan y terminan en publicaciones: los lectores ven al menos {minimum_count} incidentes juntos.",
    volume_alarm: "Alarma de volumen: {observed} incidentes en los {days} días desde el {since:day}; se esperaban {expected:whole} ({low:whole}–{high:whole}).",
    calibration_alarm: "Alarma de calibración: {observed} de {n} recuentos por hora desde el {since:day} quedan fuera de su intervalo del 90 %; se esperaban {expected:whole}.",
    place_alarm: "Alarma de lugar: los incidentes desde el {since:day} caen donde el pronóstico es más ralo de lo que espera, más que cuando se validó.",
    rollback_alarm: "Se volvió a {to}: {version} acertó menos en los incidentes llegados desde entonces.",
    volume_alarm_redacted: "Alarma de volumen: el número de incidentes no es el que se esperaba.",
    calibration_alarm_redacted: "Alarma de calibración: más recuentos por hora de lo esperado quedan fuera de su intervalo del 90 %.",
    place_not_scored: "Sin juzgar: aún no hay aciertos en vivo.",
    place_not_validated: "Sin juzgar: la versión no se validó.",
    rows_rejected: "Filas rechazadas: {n} de {received}.",
    looks_swapped: "Filas con longitud y latitud al parecer intercambiadas: {n}. Cambie las dos columnas y envíe el archivo de nuevo.",
    outside_study_area: "Filas a más de 1 km del área de estudio: {n}. ¿Es la región correcta? Si lo es, no hay que hacer nada.",
    zero: "Filas en 0/0, que no es un lugar: {n}. Geocodifíquelas o déjelas fuera.",
    not_degrees: "Filas en metros y no en grados: {n}. Indique su sistema de coordenadas en «Columnas» y envíe el archivo de nuevo.",
    ambiguous_date: "Filas en que no se distingue el día del mes: {n}. Indique el formato de las horas en «Columnas», por ejemplo %d/%m/%Y %H:%M.",
    bad_time: "Filas sin fecha y hora legibles: {n}. Indique su formato en «Columnas», o corríjalas.",
    missing: "Filas sin hora o sin lugar: {n}. Complételas en el origen; así no sirven.",
    epoch_not_accepted: "Filas con un simple número como hora: {n}. Expórtela como fecha y hora.",
    too_old: "Filas con fechas anteriores a 1970: {n}. Fechas como 1900 son de relleno: corríjalas en el origen.",
    in_the_future: "Filas con fechas futuras: {n}. Revise el huso horario y el orden de día y mes.",
    not_a_number: "Filas cuya longitud o latitud no es un número: {n}.",
    out_of_range: "Filas fuera del globo, o demasiado lejos de la región: {n}. Revise las coordenadas.",
    bad_text: "Filas con texto demasiado largo o dañado: {n}.",
    unknown_source: "Filas con un origen distinto de «reported» o «discovered»: {n}.",
    unreadable_row: "Filas ilegibles: {n}. Busque comillas o separadores sueltos.",
    too_many_categories: "Filas de categorías nuevas por encima del máximo de una región: {n}. Envíe como categoría una columna menos fina.",
    too_many_equal_rows: "Filas con la misma hora, lugar y categoría que demasiadas otras: {n}. Envíe los números de los incidentes como external_id.",
    zone_far_from_boundary: "El límite está cerca de {boundary}, a {km} km de {timezone} ({zone}). Corrija la zona horaria o el límite si no es así.",
    far_away: "Filas lejos de todas las demás: {n}. Revise sus coordenadas.",
    personal_columns: "No se leyeron columnas sobre personas: {columns}.",
    repeated_rows: "Filas que repiten otra de su archivo palabra por palabra: {n}. ¿Varios cargos de un incidente, o una exportación doble?",
    implausible_years: "Años inverosímiles: {by_year}. Esas filas se rechazaron; corrija las fechas en el origen.",
    full_hours: "Las horas son solo horas en punto. Basta para pronósticos por hora.",
    time_heaping: "Incidentes a las {at} exactas: {n} ({share:percent} %). Lo más probable es que la hora no se supiera: deje fuera de la exportación las horas desconocidas.",
    time_heaping_ratio: "Incidentes a las {at} exactas: {n} ({share:percent} %), {times_expected:whole} veces lo de las horas cercanas. Lo más probable es que la hora no se supiera: deje fuera de la exportación las horas desconocidas.",
    late_reports: "La mitad de los incidentes llega en {median_hours:whole} horas, el 90 % en {p90_hours:whole}, el 99 % en {p99_hours:whole}.",
    bulk_loads_only: "Ninguna carga abarca menos de {days} días: las cargas masivas no dicen nada de los retrasos.",
    bulk_loads_excluded: "De {n} incidentes; {n_bulk} vinieron en cargas masivas, que no dicen nada de los retrasos.",
    default_geocode: "Incidentes en un mismo punto, {longitude:degrees}, {latitude:degrees}: {n} ({share:percent} %). Un valor por defecto del geocodificador, no un foco: queda fuera de los entrenamientos.",
    more_default_geocodes: "Más puntos así: {n}.",
    rounded_coordinates: "Las coordenadas están redondeadas a {decimals} decimales: pasos de unos {step_m:whole} m.",
    shared_points: "El {share:percent} % de los incidentes comparte su punto con otro; el vecino más cercano de un punto suele estar a {nearest_m:whole} m.",
    snapped_points: "El {share:percent} % de los incidentes comparte su punto con otro; el vecino más cercano de un punto suele estar a {nearest_m:whole} m: ajustados a esquinas o manzanas.",
    dated_early: "Incidentes anteriores a {before:month}, donde empieza la serie principal: {n} ({first_year} a {last_year}). Avisos tardíos o fechas erróneas.",
    volume_break: "El nivel cambia en {month:month}: {before_per_day:fixed} al día antes, {after_per_day:fixed} después. ¿Cambió el registro?",
  },
};

const FIELD = /\{(\w+)(?::(\w+))?\}/g;
const FORMATS = /** @type {Record<string, (value: any) => string>} */ ({
  percent: (share) => fixed(100 * share),
  whole: count,
  fixed,
  degrees: (value) => value.toFixed(5),
  day: (date) => dayText(`${date}T00:00`),
  month: monthText,
});

/** A parameter without a format: a number, a text, a list, or {name: count}. @param {any} value @returns {string} */
function plain(value) {
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : number(value);
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value === "object") return Object.entries(value).map(([name, n]) => `${name} (${count(n)})`).join(", ");
  return String(value);
}

/**
 * A message of the service in the page's language; one whose code or parameters are not known, as it came.
 * @param {{code: string, params: Record<string, any>, message: string}} given
 */
export function messageText({ code, params, message }) {
  const text = /** @type {Record<string, Record<string, string>>} */ (SERVICE_MESSAGES)[currentLanguage()][code];
  if (!text || [...text.matchAll(FIELD)].some(([, name]) => !(name in params))) return message;
  return text.replace(FIELD, (_, name, format) => (FORMATS[format] ?? plain)(params[name]));
}
