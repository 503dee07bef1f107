"""What somebody at a terminal sees of long work."""

import io

from lore_core.progress import counted


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_many_of_all_and_how_long_the_rest_takes_and_is_clean_afterwards() -> None:
    terminal, seconds = Terminal(), iter(range(100))

    assert [*counted("abcd", "requests", 4, terminal, lambda: next(seconds))] == [*"abcd"]
    assert "1 of 4 requests (25%), about 3 s left" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_where_nobody_looks_nothing_is_written() -> None:
    log = io.StringIO()

    assert [*counted(range(3), "pairs", None, log)] == [0, 1, 2]
    assert log.getvalue() == ""
