"""Preset sources of cities, from public documentation and from public programs that read the portals.

None of them could be reached during development; docs/connectors.md records what was confirmed by whom,
and when. If a portal has renamed a column since, the first sync fails with its name, or many rows are
rejected; `hotslot source add --columns` overrides a preset.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.sync.spec import SourceSpec


@dataclass(frozen=True)
class Preset:
    """A city's source.

    Args:
        timezone: of the region that it belongs to (IANA).
        note: advice before using it.
    """

    title: str
    timezone: str
    spec: SourceSpec
    note: str = ""

    @property
    def licence(self) -> str:
        """The line to show beside the data, as the publisher names it."""
        return self.spec.licence or ""


def _columns(
    occurred_at: str, longitude: str, latitude: str, category: str, external_id: str | None = None
) -> dict[str, str]:
    columns = {
        "occurred_at": occurred_at,
        "longitude": longitude,
        "latitude": latitude,
        "category": category,
    }
    return columns if external_id is None else {**columns, "external_id": external_id}


def _socrata(host: str, dataset: str, licence: str, columns: dict[str, str]) -> SourceSpec:
    url = f"https://{host}/resource/{dataset}.json"
    return SourceSpec("socrata", url, columns=columns, licence=licence, page_rows=49_999)


def _arcgis(layer: str, licence: str, columns: dict[str, str]) -> SourceSpec:
    return SourceSpec("arcgis", layer, columns=columns, licence=licence, page_rows=2_000)


_NYPD = _columns("cmplnt_fr_dt+cmplnt_fr_tm", "longitude", "latitude", "ofns_desc", "cmplnt_num")
# A date at midnight beside a time of day, HHMM.
_LA_TIMES, _LA_FORMAT = "date_occ+time_occ", "%Y-%m-%dT00:00:00.000 %H%M"
_NYC_LICENCE = "NYC Open Data terms of use (opendata.cityofnewyork.us)"

PRESETS: dict[str, Preset] = {
    "chicago": Preset(
        "Chicago, crimes 2001 to present",
        "America/Chicago",
        _socrata(
            "data.cityofchicago.org",
            "ijzp-q8t2",
            "City of Chicago data portal terms of use (chicago.gov/data_disclaimer)",
            _columns("date", "longitude", "latitude", "primary_type", "id"),
        ),
        "The newest week is withheld by the publisher.",
    ),
    "new-york": Preset(
        "New York, NYPD complaints of the current year",
        "America/New_York",
        _socrata("data.cityofnewyork.us", "5uac-w243", _NYC_LICENCE, _NYPD),
        "Replaced each quarter.",
    ),
    "new-york-historic": Preset(
        "New York, NYPD complaints of past years",
        "America/New_York",
        _socrata("data.cityofnewyork.us", "qgea-i56i", _NYC_LICENCE, _NYPD),
        "Some ten million rows: keep a token (docs/connectors.md).",
    ),
    "los-angeles": Preset(
        "Los Angeles, NIBRS offences from March 2024",
        "America/Los_Angeles",
        replace(
            _socrata(
                "data.lacity.org",
                "k7nn-b2ep",
                "City of Los Angeles terms of use (data.lacity.org)",
                _columns(_LA_TIMES, "hndrdth_lon", "hndrdth_lat", "nibr_code", "uniquenibrno"),
            ),
            time_format=_LA_FORMAT,
        ),
        "Later months of 2024 are partly in los-angeles-historic: the two records systems overlap.",
    ),
    "los-angeles-historic": Preset(
        "Los Angeles, crime data 2020 to 2024",
        "America/Los_Angeles",
        replace(
            _socrata(
                "data.lacity.org",
                "2nrs-mtv8",
                "CC0 1.0",
                _columns(_LA_TIMES, "lon", "lat", "crm_cd_desc", "dr_no"),
            ),
            time_format=_LA_FORMAT,
        ),
        "Ends in 2024, when the police changed its records system.",
    ),
    "san-francisco": Preset(
        "San Francisco, incident reports from 2018",
        "America/Los_Angeles",
        _socrata(
            # data.sfgov.org, its name before 2026, refuses what has a $select.
            "data.sf.gov",
            "wg3w-h783",
            "ODC Public Domain Dedication and Licence 1.0",
            _columns("incident_datetime", "longitude", "latitude", "incident_category", "row_id"),
        ),
        "Supplements repeat an incident under a row of their own; places are the nearest crossing.",
    ),
    "seattle": Preset(
        "Seattle, SPD crime data from 2008",
        "America/Los_Angeles",
        _socrata(
            "data.seattle.gov",
            "tazs-3rd5",
            "Public domain (City of Seattle open data policy)",
            _columns("offense_date", "longitude", "latitude", "offense_sub_category", "offense_id"),
        ),
        "Places of one row in six read REDACTED and are refused; an unknown time reads 00:00.",
    ),
    "cincinnati": Preset(
        "Cincinnati, reported crime (STARS) from June 2024",
        "America/New_York",
        _socrata(
            "data.cincinnati-oh.gov",
            "7aqy-xrv9",
            "City of Cincinnati open data terms (data.cincinnati-oh.gov)",
            _columns("datefrom", "longitude_x", "latitude_x", "stars_category", "incident_no"),
        ),
    ),
    "cincinnati-historic": Preset(
        "Cincinnati, crime incidents (PDI) to June 2024",
        "America/New_York",
        _socrata(
            "data.cincinnati-oh.gov",
            "k59e-2pvf",
            "Public domain (City of Cincinnati)",
            _columns("date_from", "longitude_x", "latitude_x", "offense", "instanceid"),
        ),
        "Ends in 2024, when the city changed its records system.",
    ),
    "montgomery-county": Preset(
        "Montgomery County (Maryland), crime from 2016",
        "America/New_York",
        _socrata(
            "data.montgomerycountymd.gov",
            "icn6-v9z3",
            "Public domain (Montgomery County open data)",
            _columns("start_date", "longitude", "latitude", "crimename2"),
        ),
        "An incident has a row for each offence, so no id: a sweep reads the whole dataset.",
    ),
    "toronto": Preset(
        "Toronto, major crime indicators",
        "America/Toronto",
        _arcgis(
            "https://services.arcgis.com/S9th0jAJ7bqgIRjw/arcgis/rest/services/"
            "Major_Crime_Indicators_Open_Data/FeatureServer/0",
            "Open Government Licence - Ontario (Toronto Police Service)",
            {
                "date": "OCC_DATE",
                "hour": "OCC_HOUR",
                "longitude": "LONG_WGS84",
                "latitude": "LAT_WGS84",
                "category": "CSI_CATEGORY",
            },
        ),
        "Offences share an event's id and object ids are renumbered: a sweep reads the whole layer.",
    ),
    "washington": Preset(
        "Washington DC, crime incidents of the last 30 days",
        "America/New_York",
        replace(
            _arcgis(
                "https://maps2.dcgis.dc.gov/dcgis/rest/services/FEEDS/MPD/MapServer",
                "CC BY 4.0 (DC Metropolitan Police Department)",
                _columns("START_DATE", "LONGITUDE", "LATITUDE", "OFFENSE", "CCN"),
            ),
            dataset="Last 30 Days",
        ),
        "Each year is a layer of its own: add one source per year by --dataset 'Crime Incidents - 2025'.",
    ),
    "denver": Preset(
        "Denver, crime of the last five years",
        "America/Denver",
        replace(
            _arcgis(
                "https://services1.arcgis.com/zdB7qR0BtYrg0Xpl/arcgis/rest/services/"
                "ODC_CRIME_OFFENSES_P/FeatureServer/324",
                "City and County of Denver open data terms (CC BY 3.0 by some accounts)",
                _columns(
                    "FIRST_OCCURRENCE_DATE",
                    "GEO_LON",
                    "GEO_LAT",
                    "OFFENSE_CATEGORY_ID",
                    "OFFENSE_ID",
                ),
            ),
            changed="REPORTED_DATE",
            # Offences are revised weeks after their report, and no column shows it.
            overlap_days=60,
            where="IS_CRIME = 1",
        ),
        "The layer calls its dates UTC. Look at the hour-of-week picture first: should they be wall time, "
        "add with --esri-dates local. Sexual assaults have no places and are not in it.",
    ),
    "boston": Preset(
        "Boston, crime incident reports from 2023",
        "America/New_York",
        SourceSpec(
            "ckan",
            "https://data.boston.gov",
            "b973d8cb-eeb2-4e7e-99da-c92938efc9c0",
            _columns("OCCURRED_ON_DATE", "Long", "Lat", "OFFENSE_DESCRIPTION", "INCIDENT_NUMBER"),
            # Wall time under an offset of zero: its hour is the dataset's own column HOUR.
            time_format="%Y-%m-%d %H:%M:%S+00",
            licence="ODC Public Domain Dedication and Licence 1.0",
        ),
        "Published weeks to months late.",
    ),
    "pittsburgh": Preset(
        "Pittsburgh, monthly criminal activity from 2024",
        "America/New_York",
        SourceSpec(
            "ckan",
            "https://data.wprdc.org",
            "bd41992a-987a-4cca-8798-fbe1cd946b07",
            {
                "date": "ReportedDate",
                "hour": "Hour",
                "longitude": "XCOORD",
                "latitude": "YCOORD",
                "category": "NIBRS_Coded_Offense",
            },
            licence="CC BY 4.0 (City of Pittsburgh, WPRDC)",
        ),
        "The time is that of the report. Offences of a report share its number: each sweep reads all rows.",
    ),
    "pittsburgh-historic": Preset(
        "Pittsburgh, police incident blotter to November 2023",
        "America/New_York",
        SourceSpec(
            "ckan",
            "https://data.wprdc.org",
            "044f2016-1dfd-4ab0-bc1e-065da05fca2e",
            _columns("INCIDENTTIME", "X", "Y", "INCIDENTHIERARCHYDESC", "PK"),
            licence="CC BY 4.0 (City of Pittsburgh, WPRDC)",
        ),
    ),
    "philadelphia": Preset(
        "Philadelphia, crime incidents of the last two years",
        "America/New_York",
        SourceSpec(
            "file",
            "https://phl.carto.com/api/v2/sql?format=csv&q=SELECT%20objectid,dispatch_date,"
            "dispatch_time,text_general_code,ST_X(the_geom)%20AS%20lng,ST_Y(the_geom)%20AS%20lat"
            "%20FROM%20incidents_part1_part2%20WHERE%20dispatch_date_time%20%3E%3D%20now()%20-%20"
            "interval%20'2%20years'",
            columns=_columns(
                "dispatch_date+dispatch_time", "lng", "lat", "text_general_code", "objectid"
            ),
            licence="City of Philadelphia terms of use (opendataphilly.org)",
        ),
        "The time is that of dispatch, not of the incident.",
    ),
    "vancouver": Preset(
        "Vancouver, VPD GeoDASH, all years",
        "America/Vancouver",
        SourceSpec(
            "file",
            "https://geodash.vpd.ca/opendata/crimedata_download/AllNeighbourhoods_AllYears/"
            "crimedata_csv_AllNeighbourhoods_AllYears.zip",
            licence="VPD GeoDASH open data terms of use (geodash.vpd.ca)",
        ),
        "Columns and the projection are known by their names; places of some offences are 0/0 and refused.",
    ),
    "police-uk": Preset(
        "England, Wales and Northern Ireland, street-level archive",
        "Europe/London",
        SourceSpec(
            "police-archive",
            "https://data.police.uk/data/archive/latest.zip",
            licence="Open Government Licence v3.0",
            overlap_days=62,
        ),
        "Months without hours: needs --dataset FORCE and --month-times spread, and then only places and "
        "monthly volumes mean anything. The archive has over a gigabyte.",
    ),
}
