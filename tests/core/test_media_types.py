"""Media types."""

from app.core.media_types import BINARY, MEDIA_TYPES, media_type_of


def test_parameters_and_case_do_not_matter():
    assert media_type_of(" Application/JSON ; charset=utf-8") == "application/json"
    assert media_type_of("") == ""
    assert media_type_of(MEDIA_TYPES["tif"]) == "image/tiff"


def test_binary_formats_are_known():
    assert set(MEDIA_TYPES) >= BINARY
