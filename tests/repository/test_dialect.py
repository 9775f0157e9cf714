"""`.ci/dialect` finds words of the old dialect and nothing else."""

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

loader = SourceFileLoader("dialect", str(Path(__file__).parents[2] / ".ci" / "dialect"))
spec = importlib.util.spec_from_loader("dialect", loader)
dialect = importlib.util.module_from_spec(spec)
loader.exec_module(dialect)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.py", "what readers are told", ["told"]),
        ("a.py", "kept_rows = tell_apart(KeptReplies)", ["kept", "tell", "Kept"]),
        ("a.py", '"""Nothing when it is not to be had."""', ["Nothing when", "to be had"]),
        ("a.py", '"""Itself."""', ["Itself."]),
        ("a.py", "it describes itself. Then more", []),
        ("a.py", 'reply["kept"] = file.tell()', []),
        ("a.js", "changes.kept + untold", []),
        ("a.md", "a `kept` field\n```\ntold\n```\nas of today", []),
    ],
)
def test_words(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)
    found = [m[0] for _, line in dialect.prose(path) for m in dialect.WORDS.finditer(line)]
    assert found == words


def test_a_folder_above_its_ceiling_fails(tmp_path, monkeypatch, capsys):
    (tmp_path / "app" / "geo").mkdir(parents=True)
    (tmp_path / "app" / "geo" / "grid.py").write_text("# kept, told\n")
    for name in ("models", "client", "docs"):
        (tmp_path / name).mkdir()
    ceilings = tmp_path / "dialect.json"
    monkeypatch.setattr(dialect, "ROOT", tmp_path)
    monkeypatch.setattr(dialect, "CEILINGS", ceilings)
    ceilings.write_text('{"app/geo": 3}')
    assert dialect.main([]) == 0
    assert dialect.main(["--lower"]) == 0
    assert ceilings.read_text() == '{\n "app/geo": 2\n}\n'
    ceilings.write_text('{"app/geo": 1}')
    assert dialect.main([]) == 1
    assert "app/geo has 2 hits, at most 1" in capsys.readouterr().out
