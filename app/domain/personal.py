"""Columns about persons: told by their names, never read, named in the summary of an upload.

hotslot forecasts places and hours. Names, birth dates, telephone numbers, and who was a victim, a
suspect or a witness have no use here, so they are not to reach the database even by a mapping.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.domain.portals import normalised_name

_PERSON = (
    "victim", "vict", "vic", "victime", "victima", "víctima", "suspect", "susp", "suspecto",
    "sospechoso", "sospechosa", "offender", "perpetrator", "perp", "arrestee", "agresor",
    "imputado", "complainant", "plaignant", "denunciante", "witness", "testigo", "temoin", "témoin",
    "defendant", "juvenile", "person", "persona", "personne",
)  # fmt: skip
_TRAIT = (
    "age", "age_group", "edad", "âge", "sex", "sexo", "sexe", "gender", "genero", "género", "race",
    "raza", "ethnicity", "etnia", "descent", "nationality", "nacionalidad", "nationalité",
    "citizenship", "religion", "dob", "date_of_birth", "birth_date", "birthdate", "birthday",
    "fecha_nacimiento", "fecha_de_nacimiento", "date_de_naissance", "date_naissance",
)  # fmt: skip
_IDENTITY = (
    "first_name", "last_name", "full_name", "middle_name", "surname", "forename", "given_name",
    "family_name", "maiden_name", "nombre_completo", "apellido", "apellidos", "prenom", "prénom",
    "nom_de_famille", "phone", "phone_number", "telephone", "telefono", "teléfono", "mobile",
    "cell_phone", "email", "e_mail", "correo", "correo_electronico", "courriel", "ssn",
    "social_security_number", "passport", "pasaporte", "passeport", "cedula", "cédula", "dni",
    "nif", "curp", "national_id", "driver_license", "drivers_license", "licence_plate",
    "license_plate", "number_plate", "plate_number", "placa", "matricula", "immatriculation",
)  # fmt: skip
_WORDS = re.compile(r"[^\W_]+")
MAX_NAMED = 20
MAX_NAME_CHARS = 60


def is_personal(name: object) -> bool:
    """Whether a column of this name tells about a person.

    >>> [is_personal(n) for n in ("Vict Age", "SUSP_RACE", "first name", "dob", "Victim ID")]
    [True, True, True, True, True]
    >>> [is_personal(n) for n in ("category", "crimes_against_persons", "street_name", "page")]
    [False, False, False, False]
    """
    text = normalised_name(name)
    if text in _TRAIT or text in _IDENTITY:
        return True
    words = _WORDS.findall(re.sub(r"_", " ", text))
    return any(word in _PERSON for word in words)


def personal_columns(header: Sequence[object]) -> tuple[str, ...]:
    """The columns of a header that tell about persons, in its order."""
    return tuple(str(name) for name in header if is_personal(name))


def personal_warning(columns: Sequence[str]) -> str:
    """What the summary of an upload says about them; the names only, never a value."""
    named = ", ".join(c.strip()[:MAX_NAME_CHARS] for c in columns[:MAX_NAMED])
    more = f" and {len(columns) - MAX_NAMED} more" if len(columns) > MAX_NAMED else ""
    return f"columns about persons were not read: {named}{more}"
