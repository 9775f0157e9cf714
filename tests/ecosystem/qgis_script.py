"""What QGIS makes of the service; run by Debian's Python, which has QGIS, and printed as JSON.

Arguments: the address of the service, a key, a folder for pictures. Environment: QT_QPA_PLATFORM=offscreen.
"""

import json
import sys
import urllib.request
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsAuthMethodConfig,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor

base, key, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])


def fetched(path):
    """Download a file as a person would, with the key."""
    request = urllib.request.Request(base + path, headers={"X-API-Key": key})
    target = folder / path.rpartition("/")[2]
    with urllib.request.urlopen(request) as reply:
        target.write_bytes(reply.read())
    return str(target)


def configured():
    """Store the key as the password of the authentication configuration `hotslot`."""
    manager = QgsApplication.authManager()
    assert manager.setMasterPassword("a test's own", True)
    settings = QgsAuthMethodConfig("Basic")
    settings.setId("hotslot")
    settings.setName("hotslot")
    settings.setConfig("username", "qgis")
    settings.setConfig("password", key)
    assert manager.storeAuthenticationConfig(settings)


def drawn(layers, extent, name):
    """Draw layers and return how many colours the picture has."""
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(QgsProject.instance().crs())
    settings.setExtent(extent)
    settings.setOutputSize(QSize(900, 700))
    settings.setBackgroundColor(QColor("white"))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    image.save(str(folder / name))
    places = ((x, y) for x in range(0, 900, 7) for y in range(0, 700, 7))
    return len({image.pixel(x, y) for x, y in places})


def about(layer):
    """Return what QGIS sees of a layer."""
    features, renderer = list(layer.getFeatures()), layer.renderer()
    types = {field.name(): field.typeName() for field in layer.fields()}
    uncoloured = None
    if renderer.type() == "graduatedSymbol":
        values = [feature.attribute(renderer.classAttribute()) for feature in features]
        uncoloured = sum(renderer.symbolForValue(value) is None for value in values)
    hours = [f.attribute("from") for f in features if "from" in types]
    return {
        "provider": layer.providerType(),
        "valid": layer.isValid(),
        "n": len(features),
        "types": types,
        "renderer": renderer.type(),
        "uncoloured": uncoloured,
        "hours": sorted({hour.toUTC().toString("yyyy-MM-ddTHH:mm") for hour in hours}),
    }


app = QgsApplication([], True)
app.initQgis()
configured()
project = QgsProject.instance()
found = {"read": project.read(fetched("/ogc/regions/town/project.qgs")), "title": project.title()}
layers = {layer.name(): layer for layer in project.mapLayers().values()}
found["layers"] = {
    name: about(layer) for name, layer in layers.items() if layer.providerType() == "OAPIF"
}
tiles = layers["density"]
found["tiles"] = {"provider": tiles.providerType(), "valid": tiles.isValid()}
extent = project.viewSettings().defaultViewExtent()
found["crs"] = project.crs().authid()
found["colours"] = {
    "tiles": drawn([tiles], extent, "qgis-tiles.png"),
    "zones": drawn([layers["zones"], layers["streets"], tiles], extent, "qgis-zones.png"),
    "streets": drawn([layers["streets"]], extent, "qgis-streets.png"),
}
source = f"url='{base}/ogc' typename='town.incidents' pagingEnabled='true' authcfg='hotslot'"
incidents = QgsVectorLayer(source, "incidents", "OAPIF")
found["incidents"] = {"valid": incidents.isValid(), "n": len(list(incidents.getFeatures()))}
zones = layers["zones"]
found["filter"] = zones.setSubsetString(
    "\"from\" >= '2019-12-27T23:00:00Z' AND \"from\" <= '2019-12-27T23:59:00Z'"
)
found["filtered"] = about(zones)
plain = QgsVectorLayer(source.replace("incidents", "hotspots"), "hotspots", "OAPIF")
for kind in ("qml", "sld"):
    path = fetched(f"/ogc/regions/town/styles/hotspots.{kind}")
    load = plain.loadNamedStyle if kind == "qml" else plain.loadSldStyle
    _, ok = load(path)
    found[kind] = {"ok": ok, "renderer": plain.renderer().type()}
print(json.dumps(found))
sys.stdout.flush()
import os  # noqa: E402

os._exit(0)  # QGIS's own clean-up may crash after all is done
