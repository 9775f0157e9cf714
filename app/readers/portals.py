"""Columns of well-known police data portals, recognised by a unique combination of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

US_12_HOURS = "%m/%d/%Y %I:%M:%S %p"


@dataclass(frozen=True)
class Portal:
    """A portal's export.

    Args:
        signature: normalised column names that together mean this portal.
        columns: {field or part: normalised column name}.
        time_format: of its times where they are not ISO 8601.
        crs: of `x`, `y`.
    """

    name: str
    signature: tuple[str, ...]
    columns: Mapping[str, str]
    time_format: str | None = None
    crs: str | None = None


def normalised_name(name: object) -> str:
    """Lower-case a name, with blanks, dots and hyphens as underscores and no byte-order mark."""
    return re.sub(r"[\s.\-]+", "_", str(name).strip().strip("\ufeff").lower())


PORTALS = (
    Portal(
        "New York, NYPD complaints",
        ("cmplnt_fr_dt", "cmplnt_fr_tm"),
        {
            "date": "cmplnt_fr_dt",
            "time": "cmplnt_fr_tm",
            "longitude": "longitude",
            "latitude": "latitude",
            "category": "ofns_desc",
            "external_id": "cmplnt_num",
        },
        "%m/%d/%Y %H:%M:%S",
    ),
    Portal(
        "Chicago, crimes",
        ("date", "primary_type", "iucr", "longitude", "latitude"),
        {
            "occurred_at": "date",
            "longitude": "longitude",
            "latitude": "latitude",
            "category": "primary_type",
            "external_id": "id",
        },
        US_12_HOURS,
    ),
    Portal(
        "Los Angeles, crime data",
        ("date_occ", "time_occ", "dr_no"),
        {
            "date": "date_occ",
            "time": "time_occ",
            "longitude": "lon",
            "latitude": "lat",
            "category": "crm_cd_desc",
            "external_id": "dr_no",
        },
        "%m/%d/%Y %H%M",
    ),
    Portal(
        "San Francisco, incident reports",
        ("incident_datetime", "row_id", "incident_category"),
        {
            "occurred_at": "incident_datetime",
            "longitude": "longitude",
            "latitude": "latitude",
            "category": "incident_category",
            "external_id": "row_id",
        },
        "%Y/%m/%d %I:%M:%S %p",
    ),
    Portal(
        "Seattle, SPD crime data",
        ("offense_start_datetime", "offense_parent_group"),
        {
            "occurred_at": "offense_start_datetime",
            "longitude": "longitude",
            "latitude": "latitude",
            "category": "offense_parent_group",
            "external_id": "offense_id",
        },
        US_12_HOURS,
    ),
    Portal(
        # Its offence category distinguishes only three kinds.
        "Seattle, SPD crime data (since 2024)",
        ("offense_id", "offense_date", "offense_sub_category"),
        {
            "occurred_at": "offense_date",
            "longitude": "longitude",
            "latitude": "latitude",
            "category": "offense_sub_category",
            "external_id": "offense_id",
        },
        US_12_HOURS,
    ),
    Portal(
        "Los Angeles, NIBRS offences",
        ("date_occ", "time_occ", "uniquenibrno"),
        {
            "date": "date_occ",
            "time": "time_occ",
            "longitude": "hndrdth_lon",
            "latitude": "hndrdth_lat",
            "category": "nibr_code",
            "external_id": "uniquenibrno",
        },
        "%m/%d/%Y %H%M",
    ),
    Portal(
        "Vancouver, GeoDASH",
        ("type", "year", "month", "day", "hour", "minute", "hundred_block", "x", "y"),
        {
            "year": "year",
            "month": "month",
            "day": "day",
            "hour": "hour",
            "minute": "minute",
            "x": "x",
            "y": "y",
            "category": "type",
        },
        crs="EPSG:26910",
    ),
    Portal(
        # Several offences share one event id, so it cannot be `external_id`.
        "Toronto, major crime indicators (since 2026)",
        ("occ_date", "occ_hour", "csi_category", "long_wgs84", "lat_wgs84"),
        {
            "date": "occ_date",
            "hour": "occ_hour",
            "longitude": "long_wgs84",
            "latitude": "lat_wgs84",
            "category": "csi_category",
        },
    ),
    Portal(
        "Toronto, major crime indicators",
        ("occ_date", "occ_hour", "long_wgs84", "lat_wgs84"),
        {
            "date": "occ_date",
            "hour": "occ_hour",
            "longitude": "long_wgs84",
            "latitude": "lat_wgs84",
            "category": "mci_category",
        },
    ),
    Portal(
        "Toronto, major crime indicators (before 2022)",
        ("occurrencedate", "occurrencehour", "mci", "long", "lat"),
        {
            "date": "occurrencedate",
            "hour": "occurrencehour",
            "longitude": "long",
            "latitude": "lat",
            "category": "mci",
        },
    ),
    Portal(
        "Washington DC, crime incidents",
        ("ccn", "start_date", "offense", "longitude", "latitude"),
        {
            "occurred_at": "start_date",
            "longitude": "longitude",
            "latitude": "latitude",
            "category": "offense",
            "external_id": "ccn",
        },
    ),
    Portal(
        # dispatch_date_time beside them is UTC in some copies and local in others; these are local in all.
        "Philadelphia, incidents",
        ("dispatch_date", "dispatch_time", "text_general_code", "lat", "lng"),
        {
            "date": "dispatch_date",
            "time": "dispatch_time",
            "longitude": "lng",
            "latitude": "lat",
            "category": "text_general_code",
            "external_id": "objectid",
        },
    ),
    Portal(
        "Philadelphia, incidents (time of dispatch alone)",
        ("dispatch_date_time", "text_general_code", "lng", "lat"),
        {
            "occurred_at": "dispatch_date_time",
            "longitude": "lng",
            "latitude": "lat",
            "category": "text_general_code",
            "external_id": "objectid",
        },
    ),
)
