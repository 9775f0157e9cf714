"""Recognise columns about persons by their names; they are never read, only named in the summary.

hotslot forecasts places and hours. Names, birth dates, telephone numbers, and who was a victim, suspect
or witness are not needed, so they must not reach the database even through a mapping.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.readers.columns.portals import normalised_name

_PERSON = (
    "victim", "vict", "vic", "victime", "victima", "víctima", "suspect", "susp", "suspecto",
    "sospechoso", "sospechosa", "offender", "perpetrator", "perp", "arrestee", "agresor",
    "imputado", "complainant", "plaignant", "denunciante", "witness", "testigo", "temoin", "témoin",
    "defendant", "juvenile", "accused", "acusado", "accusé", "caller", "deceased", "detenido",
    "detainee",
)  # fmt: skip
_ONE = ("person", "persona", "personne", "witnesses")
"""Matched in the singular only: `crimes_against_persons` is a category."""
_ANYWHERE = (
    "phone", "telephone", "telefono", "teléfono", "email", "courriel", "dob", "birth", "birthdate",
    "birthday", "naissance", "nacimiento", "surname", "apellido", "apellidos", "firstname",
    "lastname", "fullname", "forename", "ssn", "passport",
)  # fmt: skip
"""Words that indicate persons in any combination."""
_HOLDER = ("officer", "owner", "driver", "subject", "patient", "contact", "reporter", "perceived",
           "mother", "father")  # fmt: skip
_HELD = ("name", "age", "sex", "gender", "race", "ethnicity", "address")
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
    "mobile_number", "tel", "email", "e_mail",
    "e_mail_address", "home_address", "correo", "correo_electronico", "courriel", "ssn",
    "social_security_number", "passport", "pasaporte", "passeport", "cedula", "cédula", "dni",
    "nif", "curp", "national_id", "driver_license", "drivers_license", "licence_plate",
    "license_plate", "number_plate", "plate_number", "placa", "matricula", "immatriculation",
)  # fmt: skip
_WHOLE = frozenset((*_TRAIT, *_IDENTITY))
_ONE_OR_MORE = frozenset((*_PERSON, *_ANYWHERE))
_WORDS = re.compile(r"[^\W\d_]+")
_JOINT = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
MAX_NAMED = 20
MAX_NAME_CHARS = 60


def is_personal(name: object) -> bool:
    """Return whether a column of this name is about a person.

    >>> [is_personal(n) for n in ("Vict Age", "SUSP_RACE", "first name", "dob", "Victim ID")]
    [True, True, True, True, True]
    >>> [is_personal(n) for n in ("victimName", "Suspects", "phone1", "D.O.B.", "officer_name")]
    [True, True, True, True, True]
    >>> [is_personal(n) for n in ("category", "crimes_against_persons", "street_name", "page")]
    [False, False, False, False]
    """
    # Joints of CamelCase are lost to lower case, so they are looked for first.
    words = _WORDS.findall(normalised_name(_JOINT.sub("_", str(name))).replace("_", " "))
    whole = "_".join(words)
    if whole in _WHOLE or whole.replace("_", "") in _WHOLE:
        return True
    if any(w in _ONE_OR_MORE or w.removesuffix("s") in _ONE_OR_MORE or w in _ONE for w in words):
        return True
    return any(w in _HOLDER for w in words) and any(w in _HELD for w in words)


def personal_columns(header: Sequence[object]) -> tuple[str, ...]:
    """Return the columns of a header that are about persons, in order."""
    return tuple(str(name) for name in header if is_personal(name))


def shortened_names(columns: Sequence[str]) -> list[str]:
    """Shorten a list of columns for a message; `+4` at its end stands for four more."""
    n_more = len(columns) - MAX_NAMED
    named = [column.strip()[:MAX_NAME_CHARS] for column in columns[:MAX_NAMED]]
    return [*named, *([f"+{n_more}"] if n_more > 0 else [])]
