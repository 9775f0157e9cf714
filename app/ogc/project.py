"""A QGIS project of a region: its collections as live layers over its map tiles."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote
from xml.sax.saxutils import escape

from app.core.processes.native import transformer
from app.ogc.collections import STREETS
from app.ogc.styles import Step, renderer

AUTHENTICATION = "hotslot"
"""Id of the authentication configuration that the project's layers use where keys are needed."""
_SRS = (
    "<spatialrefsys><srsid>{srsid}</srsid><srid>{code}</srid><authid>EPSG:{code}</authid>"
    "<geographicflag>{geographic}</geographicflag></spatialrefsys>"
)
DEGREES = _SRS.format(srsid=3452, code=4326, geographic="true")
MERCATOR = _SRS.format(srsid=3857, code=3857, geographic="false")
PROJECT = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis projectname="{title}" version="3.22.16">
<title>{title}</title>
<projectCrs>{crs}</projectCrs>
<layer-tree-group>{tree}</layer-tree-group>
<mapcanvas name="theMapCanvas"><units>meters</units>
<extent><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></extent>
<destinationsrs>{crs}</destinationsrs></mapcanvas>
<projectlayers>{layers}</projectlayers>
<ProjectViewSettings><DefaultViewExtent xmin="{box[0]}" ymin="{box[1]}" xmax="{box[2]}" ymax="{box[3]}">
{crs}</DefaultViewExtent></ProjectViewSettings>
<properties><SpatialRefSys><ProjectionsEnabled type="int">1</ProjectionsEnabled></SpatialRefSys></properties>
</qgis>
"""


@dataclass(frozen=True)
class LayerPlan:
    """A layer of the project; without steps it has QGIS's own style."""

    kind: str
    title: str
    steps: list[Step]
    shown: bool = True


def project(
    region: tuple[str, str], base: str, box: list[float], layers: list[LayerPlan], *, keyed: bool
) -> str:
    """Return the project file.

    Args:
        region: id and name.
        base: address of the service.
        box: west, south, east, north of the map.
        layers: from top to bottom; the map tiles lie beneath them.
        keyed: whether the layers need a key, which QGIS then asks its own configuration for.
    """
    region_id, name = region
    auth = f" authcfg='{AUTHENTICATION}'" if keyed else ""
    tree, drawn = [], []
    for layer in layers:
        source = (
            f"url='{base}/ogc' typename='{region_id}.{layer.kind}' pagingEnabled='true' "
            f"restrictToRequestBBOX='1'{auth}"
        )
        tree.append(
            _in_tree(f"{region_id}_{layer.kind}", layer.title, "OAPIF", source, layer.shown)
        )
        drawn.append(_vector(f"{region_id}_{layer.kind}", layer, source))
    tiles = quote(f"{base}/v1/regions/{region_id}/tiles/{{z}}/{{x}}/{{y}}.png", safe="/:{}")
    source = f"type=xyz&url={tiles}&zmin=0&zmax=20"
    source = f"authcfg={AUTHENTICATION}&{source}" if keyed else source
    tree.append(_in_tree(f"{region_id}_tiles", "density", "wms", source, shown=True))
    drawn.append(_raster(f"{region_id}_tiles", source))
    move = transformer("OGC:CRS84", "EPSG:3857")
    west, south, east, north = box
    x0, y0 = move.transform(west, south)
    x1, y1 = move.transform(east, north)
    return PROJECT.format(
        title=_text(f"hotslot: {name}"), crs=MERCATOR, tree="".join(tree), layers="".join(drawn),
        box=(x0, y0, x1, y1),
    )  # fmt: skip


def _text(value: str) -> str:
    return escape(value, {'"': "&quot;"})


def _in_tree(layer_id: str, name: str, provider: str, source: str, shown: bool) -> str:
    checked = "Qt::Checked" if shown else "Qt::Unchecked"
    return (
        f'<layer-tree-layer id="{layer_id}" name="{_text(name)}" providerKey="{provider}" '
        f'source="{_text(source)}" checked="{checked}" expanded="1"/>'
    )


def _vector(layer_id: str, layer: LayerPlan, source: str) -> str:
    geometry = "Line" if layer.kind == STREETS else "Polygon"
    style = renderer(layer.steps, layer.kind) if layer.steps else ""
    return (
        f'<maplayer type="vector" geometry="{geometry}"><id>{layer_id}</id>'
        f"<datasource>{_text(source)}</datasource><layername>{_text(layer.title)}</layername>"
        f'<srs>{DEGREES}</srs><provider encoding="UTF-8">OAPIF</provider>{style}</maplayer>'
    )


def _raster(layer_id: str, source: str) -> str:
    return (
        f'<maplayer type="raster"><id>{layer_id}</id><datasource>{_text(source)}</datasource>'
        f"<layername>density</layername><srs>{MERCATOR}</srs><provider>wms</provider>"
        '<pipe><rasterrenderer type="singlebandcolordata" band="1" opacity="1" alphaBand="-1"/></pipe>'
        "</maplayer>"
    )
