"""Options of `hotslot source add`, by what they describe."""

from __future__ import annotations

from typing import Annotated

import typer

NameOption = Annotated[str | None, typer.Option(help="Of the source; default: the preset's.")]
PresetNameOption = Annotated[
    str | None, typer.Option("--preset", help="A known city: hotslot source presets.")
]
KindOption = Annotated[
    str | None, typer.Option(help="socrata, arcgis, ckan, file or police-archive.")
]
UrlOption = Annotated[str | None, typer.Option(help="Dataset, layer, portal, file.")]
DatasetOption = Annotated[
    str | None,
    typer.Option(help="CKAN resource or package; layer of an ArcGIS service; police force."),
]
ColumnsOption = Annotated[
    list[str] | None, typer.Option(help="field=column, repeated or with commas.")
]
CrsOption = Annotated[str | None, typer.Option(help="CRS of projected x, y.")]
TimeFormatOption = Annotated[str | None, typer.Option(help="strptime format of times.")]
ChangedOption = Annotated[
    str | None, typer.Option(help="Column that rises with each addition and edit.")
]
OverlapDaysOption = Annotated[
    float | None, typer.Option(help="How far a sweep looks back for late edits.")
]
WhereOption = Annotated[str | None, typer.Option(help="A condition in the portal's language.")]
DeletedWhenOption = Annotated[
    str | None, typer.Option(help="COLUMN=VALUE that marks a withdrawn row.")
]
TokenOption = Annotated[str | None, typer.Option(help="Name of a token in HOTSLOT_SYNC_TOKENS.")]
PageRowsOption = Annotated[int | None, typer.Option(help="Rows asked for at once.")]
EsriDatesOption = Annotated[str | None, typer.Option(help="utc (documented) or local.")]
MonthTimesOption = Annotated[str | None, typer.Option(help="refuse or spread.")]
FirstMonthOption = Annotated[str | None, typer.Option(help="YYYY-MM, for {month} in a URL.")]
LicenceOption = Annotated[str | None, typer.Option(help="Line to show beside the data.")]
EveryHoursOption = Annotated[float | None, typer.Option(help="Hours between two runs by a worker.")]
CronOption = Annotated[
    str | None, typer.Option(help="Or when a worker runs: '15 4 * * *', local time.")
]
