"""The parser that keeps its memory."""

from typing import Any

import numpy as np
import pytest

from mlservice import simd

pytest.importorskip("simdjson")


def test_texts_one_after_the_other_are_read_by_one_parser() -> None:
    """A parser comes back when its document is gone, and what was made of it stays."""
    parsers = []

    def build(document: Any) -> Any:
        parsers.append(id(document.parser))
        return simd.numbers(document)

    found = [simd.read(text, build) for text in (b"[1, 2]", b"[3, [4]]")]

    assert [each.tolist() for each in found] == [[1.0, 2.0], [3.0, 4.0]]
    assert parsers[0] == parsers[1]


def test_texts_within_each_other_are_read_by_two() -> None:
    """Who comes while the parser is in use makes another one."""
    inner = simd.read(b"[1]", lambda one: simd.read(b"[2]", simd.numbers) + simd.numbers(one))

    np.testing.assert_array_equal(inner, [3.0])


def test_after_a_text_that_is_none_the_next_is_read() -> None:
    """A parser whose document may still be looked at is not used again."""
    for _ in range(2):
        with pytest.raises(ValueError, match=r"."):
            simd.read(b"[1", simd.numbers)
        assert simd.read(b"[5]", simd.numbers).tolist() == [5.0]


def test_a_parser_of_a_large_text_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept for the next text is bounded."""
    monkeypatch.setattr(simd, "_KEPT_BYTES", 4)
    simd._spare.clear()

    simd.read(b"[1, 2, 3]", simd.numbers)

    assert not simd._spare


def test_lists_are_counted_at_any_depth() -> None:
    """The text itself is one."""
    assert simd.lists_in(b"[[1, 2], [[]]]") == 4
