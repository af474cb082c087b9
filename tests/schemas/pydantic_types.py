"""Forty everyday types of pydantic, as the JSON Schemas that it writes for them: one per line, with a name."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union
from uuid import UUID

from pydantic import AnyUrl, BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter, conint, conlist, constr


class Color(str, Enum):
    RED = "red"
    GREEN = "green"


class Point(BaseModel):
    x: int
    y: int


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    age: int = 0


class Address(BaseModel):
    street: str
    city: str = Field(description="The name of the city", max_length=40)
    zip: str = Field(pattern=r"^\d{5}$")


class Person(BaseModel):
    name: str
    address: Address
    friends: list[str] = []


class Node(BaseModel):
    value: int
    children: list["Node"] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    good: bool


class Owner(BaseModel):
    pet: Union[Cat, Dog] = Field(discriminator="kind")


class Event(BaseModel):
    at: datetime
    day: date
    clock: time
    lasts: timedelta
    id: UUID


class Issue(BaseModel):
    title: str = Field(min_length=1, max_length=80)
    severity: Literal["low", "medium", "high"]
    lines: list[int] = Field(max_length=5)
    fix: Optional[str] = None


class Limits(BaseModel):
    ratio: float = Field(ge=0, le=1)
    even: int = Field(multiple_of=2, ge=0, lt=100)


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    user_name: str = Field(alias="userName")


class Nested(BaseModel):
    table: dict[str, list[Point]]


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "None": type(None),
    "list[str]": list[str],
    "dict[str, int]": dict[str, int],
    "tuple[int, str]": tuple[int, str],
    "set[int]": set[int],
    "Optional[int]": Optional[int],
    "Union[int, str]": Union[int, str],
    "Literal": Literal["a", "b", 3],
    "Enum": Color,
    "datetime": datetime,
    "date": date,
    "timedelta": timedelta,
    "UUID": UUID,
    "Decimal": Decimal,
    "Path": Path,
    "bytes": bytes,
    "HttpUrl": HttpUrl,
    "AnyUrl": AnyUrl,
    "IPv4Address": IPv4Address,
    "IPv6Address": IPv6Address,
    "Any": Any,
    "conint": conint(ge=1, le=9),
    "constr": constr(min_length=2, max_length=5),
    "constr with pattern": constr(pattern=r"^[A-Z]{2}-\d+$"),
    "conlist": conlist(int, min_length=1, max_length=3),
    "Annotated": Annotated[str, Field(max_length=8)],
    "model": Point,
    "model that forbids more": Strict,
    "model that allows more": Extra,
    "model in a model": Person,
    "model that contains itself": Node,
    "discriminated union": Owner,
    "model of times": Event,
    "issue": Issue,
    "numbers with limits": Limits,
    "table of lists of models": Nested,
}

assert len(TYPES) == 40, len(TYPES)
for name, kind in TYPES.items():
    print(json.dumps({"name": name, "schema": TypeAdapter(kind).json_schema()}))
