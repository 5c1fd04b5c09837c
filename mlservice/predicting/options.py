"""What may be asked of a prediction beside the table: in the query, or beside `data` in JSON."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mlservice.errors import Fault, InvalidParameter
from mlservice.schemas import choices

Probability = Annotated[float, Meta(ge=0, le=1)]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a prediction; all may be left out."""

    explain: Annotated[
        bool, Meta(description="Tell what each feature adds to the log-odds; JSON and NDJSON only.")
    ] = False
    threshold: Annotated[
        Probability | dict[str, Probability] | None,
        Meta(
            description="From which probability a class is predicted: of the second class, "
            "or by class."
        ),
    ] = None
    top: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Tell only so many classes of each row, the likeliest first."),
    ] = None
    extra: Annotated[
        Literal["refuse", "ignore"],
        Meta(description="What to do with columns that are no features."),
    ] = "refuse"
    digits: Annotated[
        Annotated[int, Meta(ge=1, le=15)] | None,
        Meta(description="Significant digits of numbers in CSV; all of them if left out."),
    ] = None


class PredictionRequest(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table with options beside it; a table alone is taken as well."""

    data: Annotated[
        dict[str, Any] | list[dict[str, Any]],
        Meta(
            description="The table: columns, records, or split (`columns` and `data`).",
            examples=[{"length": [1.4, 4.7], "width": [0.2, 1.3]}],
        ),
    ]


NAMES = Options.__struct_fields__
_MOST_TOLD = 20


def read_options(pairs: Iterable[tuple[str, str]], members: dict[str, Any]) -> Options:
    """Read options from a query and from what stands beside the table.

    Parameters
    ----------
    pairs : iterable of (str, str)
        The query. `threshold.yes=0.3` is the threshold of the class `yes`.
    members : dict
        Of the body.

    Raises
    ------
    InvalidParameter
        With each option that is unknown, stands twice, or has a wrong value; of more
        than 20 with the first, and how many there are.
    """
    given: dict[str, Any] = dict(members)
    faults = [_fault(name, value, f"/{name}", strict=True) for name, value in members.items()]
    for name, text in pairs:
        top, _, label = name.partition(".")
        by_class = top == "threshold" and label
        place = given.setdefault(top, {}) if by_class else given
        if not isinstance(place, dict) or (label if by_class else name) in place:
            faults.append(Fault(parameter=name, detail=f"{name} must stand once."))
            continue
        place[label if by_class else name] = text
        faults.append(_fault(top if by_class else name, text, None, strict=False))
    if found := [fault for fault in faults if fault]:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        many = {"error_count": len(found)} if len(found) > _MOST_TOLD else {}
        raise InvalidParameter(found[0].detail + more, errors=found[:_MOST_TOLD], members=many)
    return msgspec.convert(given, Options, strict=False)


def _fault(name: str, value: Any, pointer: str | None, *, strict: bool) -> Fault | None:
    parameter = None if pointer else name
    if name not in NAMES:
        detail = f"{name[:64]!r} is not an option of a prediction."
        return Fault(pointer=pointer, parameter=parameter, detail=detail)
    try:
        msgspec.convert({name: value}, Options, strict=strict)
    except msgspec.ValidationError as error:
        must = str(error).partition(" - at ")[0].replace("Expected", "must be", 1)
        must = must.partition(", got")[0]
        told = choices(Options, error)
        wrong = f"is wrong: {told}" if told else f"{must}, it is {str(value)[:64]!r}"
        detail = f"{name} {wrong}."
        return Fault(pointer=pointer, parameter=parameter, detail=detail)
    return None
