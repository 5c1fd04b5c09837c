"""Failures of what was sent to be trained on: the table and its options."""

from mlservice.errors.problem import ClientProblem


class DryRunTooLarge(ClientProblem):
    """A dry run takes less than 1 MiB, so that it holds up no other request.

    Send the first rows of the table, or train on it: a worker checks it then.
    """

    slug, title, status = "dry-run-too-large", "The body is too large for a dry run", 413


class InvalidTable(ClientProblem):
    """The table cannot be trained on.

    A column is ragged, mixes numbers and text, has no value or one of the wrong
    type, the target is absent or has missing values, or a row has no weight, group or place in
    the order where a column of them was named. `errors` lists the first 20 places;
    `error_count` says how many there are in all.
    """

    slug, title, status = "invalid-table", "The table cannot be used", 422


class TableTooLarge(ClientProblem):
    """The table has more features, categories, classes or cells than the service takes.

    The detail names the setting that holds the limit.
    """

    slug, title, status = "table-too-large", "The table is too large", 422


class SingleClass(ClientProblem):
    """The target column holds one class only, and a classifier needs two."""

    slug, title, status = "single-class", "The target has one class only", 422


class InvalidParams(ClientProblem):
    """The parameters of the logistic regression are wrong, or contradict each other.

    The rules are scikit-learn's: each solver takes some penalties only, and
    `liblinear` takes two classes only.
    """

    slug, title, status = "invalid-params", "The parameters do not fit together", 422


class InvalidEvaluation(ClientProblem):
    """The rows cannot be parted as the evaluation asks.

    A class has too few rows for the parts, or a column that parts the rows is
    absent. Ask for a smaller part, fewer folds, or none.
    """

    slug, title, status = "invalid-evaluation", "The evaluation does not fit the table", 422


class InvalidSearch(ClientProblem):
    """The search for parameters cannot be made.

    What is searched also stands in `params`, there are too many points, the rows
    cannot make the folds, or a point has parameters that do not go together; the
    detail names the point. A model that failed with this was checked by its worker.
    """

    slug, title, status = "invalid-search", "The search is wrong", 422


class InvalidWarmStart(ClientProblem):
    """The fit cannot start from the model that `warm_start_from` names.

    That model has other features, categories or classes, the solver is liblinear, or a
    large body has the member that must stand in the query then.
    """

    slug, title, status = "invalid-warm-start", "The fit cannot start from that model", 422
