"""Which columns were taken, and what was left aside (cases 19, 20, 22, 35, 36)."""

import pytest

PLACE = "longitude,latitude"
AT = "-84.5,39.1"


def left_aside(sent, reason):
    return [one["name"] for one in sent.body["read"]["not_read"] if one["reason"] == reason]


def warnings(sent):
    return {one["code"]: one["params"] for one in sent.body["warnings"]}


def assumed(sent):
    return {one["code"]: one["params"] for one in sent.body["read"]["assumptions"]}


TIMES = {
    "export time beside occurrence": (
        "timestamp,date_occurred,time_occurred,type,offense",
        "2026-11-02 06:00:00,2026-10-01,20:30,Report,Robbery",
        {"date": "date_occurred", "time": "time_occurred", "category": "offense"},
    ),
    "reported date beside occurred date": (
        "Date,Occurred_Date,Offense",
        "2026-11-02 09:00:00,2026-10-01 20:30,Robbery",
        {"occurred_at": "Occurred_Date", "category": "Offense"},
    ),
    "report, entry and update": (
        "Report Date,Date Entered,Last Updated,Incident Date,Incident Time,Crime Type",
        "2026-11-02,2026-11-03,2026-11-04,2026-10-01,20:30,Robbery",
        {"date": "Incident Date", "time": "Incident Time", "category": "Crime Type"},
    ),
    "dispatch beside offence": (
        "Dispatch_Date_Time,OffenseDateTime,Type,Incident_Type",
        "2026-11-02 09:00:00,2026-10-01 20:30,Report,Robbery",
        {"occurred_at": "OffenseDateTime", "category": "Incident_Type"},
    ),
    "plain clock of the report's plain date": (
        "Date,Time,Occurred Date,Offence",
        "2026-11-02,09:00,2026-10-01 20:30,Robbery",
        {"occurred_at": "Occurred Date", "category": "Offence"},
    ),
    "numbers in Spanish": (
        "ANIO,MES,DIA,HORA,DELITO,FECHA DE REGISTRO",
        "2026,10,1,20,Robbery,2026-11-02",
        {"year": "ANIO", "month": "MES", "day": "DIA", "hour": "HORA", "category": "DELITO"},
    ),
    "Spanish": (
        "FECHA DE REGISTRO,FECHA_HECHO,HORA_HECHO,TIPO DE DELITO",
        "2026-11-02,2026-10-01,20:30,Robbery",
        {"date": "FECHA_HECHO", "time": "HORA_HECHO", "category": "TIPO DE DELITO"},
    ),
}


@pytest.mark.parametrize("case", TIMES)
def test_occurrence_and_offence_are_taken(door, case):
    header, row, columns = TIMES[case]
    sent = door.send("a.csv", f"{header},{PLACE}\n{row},{AT}\n")
    assert sent.body["accepted"] == 1, sent
    (stored,) = door.stored()
    time = "20:00" if "hour" in columns else "20:30"
    assert (stored["occurred_at"][:16], stored["category"]) == (f"2026-10-01T{time}", "Robbery")
    read = sent.body["read"]["columns"]
    assert {name: read[name] for name in columns} == columns
    assert left_aside(sent, "other_time")


def test_an_unknown_column_of_kinds_is_said(door):
    sent = door.send(
        "c.csv",
        f"datetime,{PLACE},Crime Name1,UCR Description\n2026-10-01 20:30,{AT},Person,Robbery\n",
    )
    assert door.stored()[0]["category"] == "unspecified"
    assert "no_kind" in assumed(sent)
    assert [one["name"] for one in sent.body["read"]["not_read"]] == [
        "Crime Name1",
        "UCR Description",
    ]


@pytest.mark.parametrize(
    ("header", "field", "names"),
    [
        ("Occurred Date,Date Occurred,Offense", "occurred_at", ["Occurred Date", "Date Occurred"]),
        ("datetime,Offense Type,Crime Type", "category", ["Offense Type", "Crime Type"]),
        ("datetime,Datetime,Offense", "occurred_at", ["datetime", "Datetime"]),
    ],
)
def test_two_columns_of_one_meaning_are_refused(door, header, field, names):
    sent = door.send("a.csv", f"{header},{PLACE}\n2026-10-01 20:30,2026-10-02 20:30,x,{AT}\n")
    assert sent.status == 422
    assert all(name in sent.error for name in names)
    assert f"columns={field}=" in sent.error or "rename" in sent.error
    assert door.stored() == []


def test_the_caller_chooses_between_them(door):
    body = f"Occurred Date,Date Occurred,{PLACE}\n2026-10-01 20:30,2026-10-02 20:30,{AT}\n"
    door.send("a.csv", body, columns=["occurred_at=Date Occurred"])
    assert door.hours() == ["2026-10-02T20:30"]


def test_the_end_of_a_span_is_said_not_to_be_read_when_it_is_switched_off(door):
    sent = door.send(
        "a.csv",
        f"Date From,Time From,Date To,Time To,Offense,{PLACE}\n"
        f"2026-07-23,08:00,2026-07-23,18:00,Burglary,{AT}\n",
        columns=["occurred_to="],
    )
    assert door.hours() == ["2026-07-23T08:00"]
    assert left_aside(sent, "end_time") == ["Date To", "Time To"]
    assert warnings(sent)["end_time_not_read"] == {"columns": ["Date To", "Time To"]}


COUNTS = f"datetime,{PLACE},type,count\n2026-03-01T10:00:00,{AT},Theft,5\n2026-03-01T11:00:00,{AT},Theft,2\n"


def test_a_count_that_is_not_mapped_is_said(door):
    sent = door.send("counts.csv", COUNTS)
    assert sent.body["accepted"] == 2
    assert warnings(sent)["count_not_read"] == {"columns": ["count"]}
    assert left_aside(sent, "count") == ["count"]


def test_a_mapped_count_is_expanded(door):
    for added in (7, 0):
        sent = door.send("counts.csv", COUNTS, columns=["count=count"])
        assert (sent.body["received"], sent.body["accepted"]) == (7, added)
    assert [hour[11:] for hour in door.hours()] == ["10:00"] * 5 + ["11:00"] * 2


def test_a_count_with_ids_is_expanded_once(door):
    body = f"datetime,{PLACE},external_id,n\n2026-03-01T10:00:00,{AT},a,3\n2026-03-01T11:00:00,{AT},b,1\n"
    for added in (4, 0):
        assert door.send("counts.csv", body, columns=["count=n"]).body["accepted"] == added
    assert len(door.stored()) == 4


@pytest.mark.parametrize("count", ["0", "-1", "2.5", "many", "1001", ""])
def test_a_wrong_count_is_rejected_by_row(door, count):
    body = f"datetime,{PLACE},n\n2026-03-01T10:00:00,{AT},2\n2026-03-01T11:00:00,{AT},{count}\n"
    sent = door.send("counts.csv", body, columns=["count=n"])
    assert (sent.body["received"], sent.body["accepted"]) == (3, 2)
    (error,) = sent.body["errors"]
    assert (error["row"], error["field"], error["code"]) == (2, "count", "bad_count")
    assert count in error["message"]
    assert "1..1000" in error["message"]


def test_buenos_aires_counts_what_is_mapped(door):
    body = (
        "id-mapa;anio;mes;dia;fecha;franja;tipo;subtipo;latitud;longitud;cantidad\n"
        "1;2026;ENERO;MARTES;2026-01-13;23;Robo;Robo total;-34,6037;-58,3816;1\n"
        "2;2026;ENERO;MARTES;2026-01-13;0;Robo;Robo total;-34,6047;-58,3816;3\n"
        "3;2026;ENERO;MARTES;2026-01-14;S/D;Robo;Robo total;-34,6047;-58,3816;1\n"
        "4;2026;ENERO;MARTES;2026-01-14;5;Robo;Robo total;-34,6047;-58,3816;2\n"
    )
    sent = door.send("franja.csv", body, columns=["occurred_at=fecha+franja", "count=cantidad"])
    assert (sent.body["received"], sent.body["accepted"]) == (7, 6)
    assert sent.body["errors"][0]["row"] == 3
    assert len(door.stored()) == 6
    assert door.stored()[0]["latitude"] == pytest.approx(-34.6047)


SOURCE = (
    f"datetime,{PLACE},type,source\n2026-03-01T10:00:00,{AT},Theft,{{}}\n"
    f"2026-03-01T11:00:00,{AT},Theft,{{}}\n"
)


def test_a_source_of_another_meaning_is_left_aside(door):
    sent = door.send("source.csv", SOURCE.format("CAD", "RMS"))
    assert sent.body["accepted"] == 2
    assert left_aside(sent, "other_meaning") == ["source"]
    assert assumed(sent)["source_not_ours"] == {"column": "source", "sample": "CAD"}
    assert {one["source"] for one in door.stored()} == {"reported"}


def test_our_own_source_is_taken_and_a_strange_value_rejected(door):
    sent = door.send("source.csv", SOURCE.format("discovered", "web"))
    assert sent.body["accepted"] == 1
    assert door.stored()[0]["source"] == "discovered"
    assert sent.body["errors"][0]["code"] == "unknown_source"
    assert "columns=source=" in sent.body["errors"][0]["message"]


def test_a_mapped_source_is_believed(door):
    sent = door.send("source.csv", SOURCE.format("CAD", "RMS"), columns=["source=source"])
    assert sent.body["rejected_by_code"] == {"unknown_source": 2}


def test_control_characters_in_names_are_refused(door):
    sent = door.send("a.csv", f"datetime,{PLACE},ty\x01pe\n2026-03-01T10:00:00,{AT},Theft\n")
    assert sent.status == 422
    assert "control characters" in sent.error
    sent = door.send("a.csv", f"datetime,{PLACE},type\n2026-03-01T10:00:00,{AT},The\x02ft\n")
    assert sent.body["rejected_by_code"] == {"bad_text": 1}
