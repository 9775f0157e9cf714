"""Kinds: case and blanks make no other kind, aliases, groups, several at once (cases 40 and 51)."""

import csv
import io

HEAD = "datetime,longitude,latitude,type\n"
SPELT = [
    "THEFT",
    "Theft ",
    "theft",
    "Theft  from car",
    "THEFT FROM\u00a0CAR",
    "Ｔｈｅｆｔ",
    "ROBO",
    "Robo",
]


def lines(names, start=0):
    return HEAD + "".join(
        f"2026-03-{1 + (start + k) % 28:02d}T10:{(start + k) % 60:02d}:00,-84.5{k % 10},39.1{k % 7},{name}\n"
        for k, name in enumerate(names)
    )


def kinds(door):
    found = {}
    for one in door.stored():
        found[one["category"]] = found.get(one["category"], 0) + 1
    return found


def as_csv(door):
    """The region's own CSV."""
    return door.client.get(f"{door.root}/incidents?f=csv&limit=1000").text


def test_case_blanks_and_letter_forms_make_no_other_kind(door):
    sent = door.send("a.csv", lines(SPELT))
    assert (sent.body["accepted"], sent.body["rejected"]) == (8, 0)
    assert kinds(door) == {"THEFT": 4, "Theft  from car": 2, "ROBO": 2}


def test_the_first_spelling_stays_and_every_spelling_is_a_duplicate(door):
    door.send("a.csv", lines(["Theft"] * 3))
    again = door.send("b.csv", lines(["THEFT", " theft", "tHeFt"]))
    assert (again.body["accepted"], again.body["duplicates"]) == (0, 3)
    more = door.send("c.csv", lines(["THEFT"], start=9))
    assert more.body["accepted"] == 1
    assert kinds(door) == {"Theft": 4}


def test_a_round_trip_adds_nothing(door):
    door.send("a.csv", lines(SPELT))
    again = door.send("back.csv", as_csv(door))
    assert (again.body["received"], again.body["accepted"], again.body["duplicates"]) == (8, 0, 8)


def test_letters_with_accents_fold_but_other_letters_stay_apart(door):
    door.send("a.csv", lines(["VIOLACIÓN", "violación", "Violacion", "Straße", "STRASSE"]))
    assert kinds(door) == {"VIOLACIÓN": 2, "Violacion": 1, "Straße": 2}


def test_a_listing_takes_any_spelling(door):
    door.send("a.csv", lines(SPELT))
    rows = door.client.get(f"{door.root}/incidents?f=csv&category=theft%20FROM%20car").text
    assert len(list(csv.reader(io.StringIO(rows)))) == 1 + 2
