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


def test_a_block_replaces_the_text_between_its_markers() -> None:
    assert print_docs.printed(DOCUMENT, "things", "new") == DOCUMENT.replace("old", "\nnew\n")


def test_printing_is_idempotent() -> None:
    once = print_docs.printed(DOCUMENT, "things", "new")
    assert print_docs.printed(once, "things", "new") == once


@pytest.mark.parametrize("text", ["no markers", DOCUMENT * 2])
def test_a_document_without_exactly_one_pair_of_markers_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="exactly one pair of markers"):
        print_docs.printed(text, "things", "new")


def test_check_names_a_stale_document_and_does_not_change_it(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_docs.main(["--check"]) == 1
    assert "is stale: run `make docs`" in capsys.readouterr().err
    assert document.read_text() == DOCUMENT


def test_a_printed_document_passes_the_check(document: Path) -> None:
    assert print_docs.main([]) == 0
    assert r"new \1" in document.read_text()
    assert print_docs.main(["--check"]) == 0


def test_every_document_has_a_pair_of_markers_for_each_of_its_blocks() -> None:
    texts = [
        (print_docs.printed(path.read_text(), name, block), block)
        for path, blocks in print_docs.blocks().items()
        for name, block in blocks.items()
    ]
    assert texts
    assert all(block in text for text, block in texts)
