"""QGIS projects and styles: well-formed, complete, without a key; every value has one colour."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from app.forecasts.plan import Selector
from app.ogc.features import feature_set
from app.ogc.styles import attribute_of, steps_of

OGC = {"sld": "http://www.opengis.net/sld", "ogc": "http://www.opengis.net/ogc"}
KINDS = ("hotspots", "zones", "streets", "neighbourhoods")


@pytest.mark.parametrize("kind", KINDS)
def test_each_value_has_one_class(ogc, kind):
    found = feature_set(ogc.app.state.forecasts, "town", kind, Selector(window=119))
    steps = steps_of(found, kind)
    assert len({step.colour for step in steps}) == len(steps) >= 1
    for one in found.features:
        value = one["properties"][attribute_of(kind)]
        within = [
            (step.low is None or value >= step.low) and (step.high is None or value < step.high)
            for step in steps
        ]
        assert sum(within) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_styles_are_xml_with_as_many_classes(ogc, kind):
    reply = ogc.get(f"/ogc/regions/town/styles/{kind}.qml")
    assert reply.headers["content-type"].startswith("application/vnd.qgis.qml+xml")
    style = ET.fromstring(reply.text.partition("\n")[2])
    ranges, symbols = style.findall(".//range"), style.findall(".//symbol")
    assert len(ranges) == len(symbols) > 0
    reply = ogc.get(f"/ogc/regions/town/styles/{kind}.sld")
    assert reply.headers["content-type"].startswith("application/vnd.ogc.sld+xml")
    sld = ET.fromstring(reply.content)
    assert len(sld.findall(".//sld:Rule", OGC)) == len(ranges)
    names = {name.text for name in sld.iter(f"{{{OGC['ogc']}}}PropertyName")}
    assert names <= {attribute_of(kind)}


def test_the_project_has_all_layers_and_no_key(ogc, keyed):
    reply = keyed("reader", "/ogc/regions/town/project.qgs")
    assert reply.headers["content-disposition"] == 'attachment; filename="town.qgs"'
    assert "hsk_" not in reply.text
    assert "town.incidents" not in reply.text
    project = ET.fromstring(reply.text.partition("\n")[2])
    sources = [source.text for source in project.iter("datasource")]
    assert len(project.findall(".//layer-tree-layer")) == len(sources) == 5
    assert [source for source in sources if "authcfg=" not in source] == []
    for source in sources[:-1]:
        name = source.partition("typename='")[2].partition("'")[0]
        assert keyed("reader", f"/ogc/collections/{name}/items").status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("nowhere/project.qgs", 404),
        ("nowhere/styles/hotspots.qml", 404),
        ("town/styles/density.qml", 400),
        ("town/styles/hotspots.css", 400),
    ],
)
def test_what_is_not_there(ogc, path, status):
    assert ogc.get(f"/ogc/regions/{path}").status_code == status
