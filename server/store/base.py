"""What all tables share: their registry, the names of their constraints, their number types.

Knows no table. Types are chosen so that both databases, and SQLite's STRICT tables (which take
INTEGER, REAL, TEXT and BLOB only), hold the same values.
"""

from typing import ClassVar

from sqlalchemy import (
    REAL,
    BigInteger,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
)
from sqlalchemy.orm import DeclarativeBase

from server.store.encoding import CleanText

Count = BigInteger().with_variant(Integer(), "sqlite")
Small = SmallInteger().with_variant(Integer(), "sqlite")
Number = Double().with_variant(REAL(), "sqlite")


class Base(DeclarativeBase):
    """All tables; constraint names are fixed so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        str: CleanText(),
        int: Integer(),
        float: Number,
        bytes: LargeBinary(),
    }
