"""A row that is named by its name or its id, as addresses and messages name models and SAEs.

Knows any table with both columns.
"""

from typing import Any, NamedTuple

from sqlalchemy import Row, Select, bindparam
from sqlalchemy.orm import Session

from server.store.encoding import LARGEST_ID


class Named(NamedTuple):
    """A query by name and by id, made once: building one takes longer than answering it."""

    by_name: Select[Any]
    by_id: Select[Any]

    @classmethod
    def of(cls, query: Select[Any], table: Any) -> "Named":
        """That query for one row of `table`."""
        return cls(
            query.where(table.name == bindparam("key")), query.where(table.id == bindparam("key"))
        )

    def find(self, session: Session, key: int | str) -> Row[Any] | None:
        """The row of this id or name; a string of digits is a name first, then an id."""
        found = None
        if isinstance(key, str):
            found = session.execute(self.by_name, {"key": key}).one_or_none()
        if found is None and _is_id(key):
            found = session.execute(self.by_id, {"key": int(key)}).one_or_none()
        return found


def _is_id(key: int | str) -> bool:
    if isinstance(key, str) and not (key.isascii() and key.isdecimal() and len(key) <= 10):
        return False
    return 0 < int(key) <= LARGEST_ID
