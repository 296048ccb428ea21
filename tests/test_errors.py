"""Texts of messages."""

from unblind.errors import shortened


def test_a_text_is_cut_only_where_it_is_too_long():
    assert shortened("ten digits", 10) == "ten digits"
    assert shortened("eleven more", 10) == "eleven ..."
