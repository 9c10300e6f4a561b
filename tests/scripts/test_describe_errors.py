from __future__ import annotations

from scripts import describe_errors

SOURCE = '''
class HsmBusyError(Exception):
    """Another HSM is
    still arriving.

    Details for maintainers.
    """

def helper(): ...
'''


def test_each_error_is_a_row_with_the_first_paragraph_of_its_docstring() -> None:
    assert describe_errors.table(SOURCE).splitlines()[2:] == [
        "| `HsmBusyError` | Another HSM is still arriving. |"
    ]


def test_every_error_of_the_repository_has_a_meaning() -> None:
    rows = describe_errors.table(describe_errors.ERRORS.read_text()).splitlines()[2:]
    assert rows
    assert not [row for row in rows if row.endswith("|  |")]
