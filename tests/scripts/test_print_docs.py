from __future__ import annotations

from pathlib import Path

import pytest

from scripts import print_docs

DOCUMENT = """# Title
<!-- things: printed by make docs -->
old
<!-- end of things -->
The rest.
"""


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "document.md"
    path.write_text(DOCUMENT)
    monkeypatch.setattr(print_docs, "blocks", lambda: {path: {"things": r"new \1"}})
    return path


def test_a_block_replaces_what_is_between_its_marks() -> None:
    assert print_docs.printed(DOCUMENT, "things", "new") == DOCUMENT.replace("old", "\nnew\n")


def test_printing_twice_is_printing_once() -> None:
    once = print_docs.printed(DOCUMENT, "things", "new")
    assert print_docs.printed(once, "things", "new") == once


@pytest.mark.parametrize("text", ["no marks", DOCUMENT * 2])
def test_a_document_without_exactly_one_pair_of_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="one pair of marks"):
        print_docs.printed(text, "things", "new")


def test_a_stale_document_is_named_and_not_changed(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_docs.main(["--check"]) == 1
    assert "is stale: run `make docs`" in capsys.readouterr().err
    assert document.read_text() == DOCUMENT


def test_a_printed_document_is_not_stale(document: Path) -> None:
    assert print_docs.main([]) == 0
    assert r"new \1" in document.read_text()
    assert print_docs.main(["--check"]) == 0


def test_every_document_has_the_marks_that_are_printed_into_it() -> None:
    for path, blocks in print_docs.blocks().items():
        for name, block in blocks.items():
            assert print_docs.printed(path.read_text(), name, block)
