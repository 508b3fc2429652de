"""Columns: each defined, with unit and meaning."""

import pytest

from replicate.messages import ConfigError
from replicate.store import columns


def test_a_column_without_a_definition_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^updates: no column 'made_up'; [^\n]*UPDATES[^\n]*$"):
        columns.table("updates", [{"update": 0, "made_up": 1.0}])


def test_every_column_has_unit_and_meaning() -> None:
    for schema in columns.SCHEMAS.values():
        assert len({c.name for c in schema}) == len(schema)
        assert all(c.unit and c.meaning for c in schema)
