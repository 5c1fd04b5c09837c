"""How large a table and its model may be; the error names the setting."""

from collections import Counter

from mlservice.errors import InvalidTable, TableTooLarge
from mlservice.preparation import Preparation, labels
from mlservice.settings import Settings, variable


def check_size(what: str, found: int, setting: str, limits: Settings) -> None:
    """Refuse more of something than a setting allows.

    Raises
    ------
    TableTooLarge
        If more was found.
    """
    most: int = getattr(limits, setting)
    if found > most:
        raise TableTooLarge(
            f"There may be at most {most} {what} ({variable(setting)}), there are {found}."
        )


def check_columns(preparation: Preparation, limits: Settings) -> None:
    """Refuse a preparation that makes too many columns, or two of one name.

    Raises
    ------
    TableTooLarge
        If a limit on categories or on columns is passed.
    InvalidTable
        If two columns have one name, or there is no column.
    """
    for feature in preparation.text_features:
        check_categories(feature.name, len(labels(feature)) - feature.missing, limits)
    check_size("columns after one-hot encoding", len(preparation.names), "max_columns", limits)
    if not preparation.names:
        raise InvalidTable(
            "A column must be left, none is: a text of one category has none with encode reference."
        )
    for name, times in Counter(preparation.names).most_common(1):
        if times > 1:
            raise InvalidTable(
                f"Columns must have names of their own after one-hot encoding, {name!r} stands "
                f"{times} times; rename one."
            )


def check_categories(name: str, found: int, limits: Settings) -> None:
    """Refuse a text column of too many categories."""
    if found > limits.max_categories:
        raise TableTooLarge(
            f"A text column may have at most {limits.max_categories} categories "
            f"({variable('max_categories')}), {name!r} has {found}; leave it out."
        )


def check_model(n_classes: int, n_columns: int, limits: Settings) -> None:
    """Refuse a model of too many classes or coefficients.

    Raises
    ------
    TableTooLarge
        If it has.
    """
    check_size("classes", n_classes, "max_classes", limits)
    check_size("coefficients", n_classes * n_columns, "max_coefficients", limits)
