"""From a request's body to a model: no I/O, no clock, no globals."""

import platform
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
import scipy
import sklearn
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from mlservice import __version__, coefficients
from mlservice.catalogue import Solver
from mlservice.dataset import Dataset, Digest
from mlservice.errors import NumericalFailure
from mlservice.intake import check, unwrap, with_parent
from mlservice.model import Model
from mlservice.params import why
from mlservice.parent import start
from mlservice.preparation import Column, Preparation, Rows, contiguous
from mlservice.profile import Profile, profile_of
from mlservice.schemas import Description, FitWarning, SolverChoice, label_name
from mlservice.scoring import estimator
from mlservice.search import SearchDocument
from mlservice.settings import Settings
from workers.evaluation import Predictor, evaluate
from workers.inference import infer
from workers.lean import numpy_only
from workers.progress import Tell, follow, nobody
from workers.search import choose
from workers.solvers import fit_automatically

# Beyond, squares overflow: sag and saga then take no step and do not say so.
_LARGEST = 1e150


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training gives: the model, its document's members, its name."""

    model: Model
    description: Description
    name: str | None


def train(stored: bytes | bytearray, limits: Settings, tell: Tell = nobody) -> Trained:
    """Fit the model that a request asks for.

    Parameters
    ----------
    stored : bytes
        What `POST /models` took, as the store has it; see `intake`.
    limits : Settings
        Limits on the table.
    tell : callable
        Gets the phase, and the iteration and its limit where the solver has them.

    Raises
    ------
    ClientProblem
        If the request is wrong, as the service would have told.
    NumericalFailure
        If no finite coefficients were found.
    """
    sent = unwrap(stored)
    # The caller still holds the body, and the fit needs the memory.
    request, dataset = check(sent, limits, may_clear=True)
    dataset = with_parent(sent, request, dataset)
    dataset, searched, said = _searched(dataset, limits, tell)
    kept, told, found = _fit_and_measure(dataset, tell)
    model = _model(dataset, kept, sent.parent.id if sent.parent else None)
    found["search"] = searched
    described = msgspec.structs.replace(_describe(dataset, model, [*said, *told]), **found)
    return Trained(model=model, description=described, name=request.name)


def _searched(
    dataset: Dataset, limits: Settings, tell: Tell
) -> tuple[Dataset, SearchDocument | None, list[FitWarning]]:
    """Return the dataset with the parameters to fit it with, and how they were found."""
    if dataset.search is None:
        return dataset, None, []
    return choose(dataset, dataset.search, fit, processes=limits.search_processes, tell=tell)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """An estimator, how its rows are prepared, what they were like, and the digest of all."""

    preparation: Preparation
    estimator: LogisticRegression
    profile: Profile | None = None
    digest: str = ""


def _fit_and_measure(
    dataset: Dataset, tell: Tell
) -> tuple[Fitted, list[FitWarning], dict[str, Any]]:
    """Return the model that is kept, warnings, and the description's members about its worth."""
    part, refit = dataset.splits.hold_out(), dataset.splits.evaluation.refit
    taken = dataset
    if part is not None and not refit:
        taken = replace(dataset.take(part[0]), parent=dataset.parent)
    estimator, told = fit(taken, tell)
    tell("evaluating")
    digest, profile = _seen(dataset, taken, None if part is None or refit else part[0])
    kept = Fitted(
        preparation=taken.preparation, estimator=estimator, profile=profile, digest=digest
    )
    predict = fit_rows(dataset, part[0]) if part and refit else _predictor(dataset, kept)
    inferred, why_not = infer(taken, estimator) if _has_converged(told) else (None, [])
    found = {
        "params": dataset.params | {"solver": estimator.solver},
        "solver_choice": _choice(dataset, estimator.solver),
        "metrics": evaluate(dataset, part, predict, fit_rows),
        "inference": inferred and inferred.estimates,
        "likelihood": inferred and inferred.likelihood,
    }
    return kept, [*told, *why_not], found


def _seen(dataset: Dataset, taken: Dataset, rows: Rows) -> tuple[str, Profile]:
    """Return the digest of all rows and the profile of those that are fitted on, in one walk."""
    digest = Digest(dataset)

    def columns() -> Iterator[Column]:
        for column in contiguous(dataset.columns):
            digest.add(column)
            yield column

    classes = len(dataset.classes)
    profile = profile_of(columns(), taken.preparation, taken.y, rows, n_classes=classes)
    return digest.finish(), profile


def _choice(dataset: Dataset, solver: Solver) -> SolverChoice | None:
    if not dataset.is_automatic:
        return None
    return SolverChoice(asked="auto", picked=solver, reason=why(solver, dataset.params))


def fit_rows(dataset: Dataset, rows: NDArray[np.intp]) -> Predictor:
    """Fit on some rows of a dataset, and return what predicts others of it."""
    taken = dataset.take(rows)
    fitted = Fitted(preparation=taken.preparation, estimator=fit(taken)[0])
    return _predictor(dataset, fitted)


def _predictor(dataset: Dataset, fitted: Fitted) -> Predictor:
    def predict(rows: Rows) -> NDArray[np.float64]:
        X = dataset.prepared(fitted.preparation, rows)
        probabilities: NDArray[np.float64] = fitted.estimator.predict_proba(X)
        return probabilities

    return predict


def fit(dataset: Dataset, tell: Tell = nobody) -> tuple[LogisticRegression, list[FitWarning]]:
    """Fit scikit-learn's estimator, and put its warnings into words.

    Returns
    -------
    estimator : LogisticRegression
        Fitted on the positions of the classes, which sort as the classes do.
    warnings : list of FitWarning
        What the fit had to say.

    Raises
    ------
    NumericalFailure
        If the numbers are too large for the solver's arithmetic, a coefficient
        is not finite, or lbfgs gave up without a step.
    """
    if dataset.is_automatic and dataset.params["solver"] == "lbfgs":
        return fit_automatically(replace(dataset, is_automatic=False), partial(fit, tell=tell))
    # NaN cannot be there; a copy of X to take its absolute would double the memory.
    if max(dataset.X.max(), -dataset.X.min()) > _LARGEST:
        raise NumericalFailure(_NOT_FINITE)
    codes = {label_name(label): code for code, label in enumerate(dataset.classes)}
    unfitted = estimator(dataset.params, codes)
    if dataset.parent:
        unfitted.warm_start = True
        unfitted.coef_, unfitted.intercept_ = start(dataset.parent, dataset.preparation)
    follow(unfitted, tell, dataset.X.size * len(dataset.classes), partial(_loss, dataset))
    try:
        with numpy_only(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = unfitted.fit(dataset.X, dataset.y, sample_weight=dataset.sample_weight)
    except (ValueError, np.linalg.LinAlgError) as error:
        raise NumericalFailure(_NOT_FINITE + f" scikit-learn says: {str(error)[:300]}") from error
    finite = np.isfinite(fitted.coef_).all() and np.isfinite(fitted.intercept_).all()
    if _gave_up(caught) or not finite:
        raise NumericalFailure(_NOT_FINITE)
    return fitted, _in_words(caught, fitted)


def _loss(dataset: Dataset, fitted: LogisticRegression) -> float:
    """Return the mean log loss of the rows that are fitted on."""
    with warnings.catch_warnings():
        # What is odd about the numbers, the fit itself has to say.
        warnings.simplefilter("ignore")
        P = fitted.predict_proba(dataset.X)
        return float(log_loss(dataset.y, P, sample_weight=dataset.sample_weight))


def _gave_up(caught: list[warnings.WarningMessage]) -> bool:
    """Tell whether lbfgs stopped without a step, or numpy met an overflow."""
    said = [str(each.message) for each in caught]
    return any("ABNORMAL" in text or " encountered in " in text for text in said)


_NOT_FINITE = (
    "The coefficients must be finite, the solver found none; "
    "bring the columns to similar scales and train again."
)


def _in_words(
    caught: list[warnings.WarningMessage], fitted: LogisticRegression
) -> list[FitWarning]:
    told = [_told(each, fitted) for each in caught]
    # sag and saga do not warn of no iteration at all.
    if fitted.max_iter == 0:
        told.append(_not_converged(fitted))
    return list(dict.fromkeys(told))


def _told(caught: warnings.WarningMessage, fitted: LogisticRegression) -> FitWarning:
    if issubclass(caught.category, ConvergenceWarning):
        return _not_converged(fitted)
    return FitWarning(code="solver", detail=str(caught.message)[:300])


def _has_converged(told: list[FitWarning]) -> bool:
    return not any(each.code == "not-converged" for each in told)


def _not_converged(fitted: LogisticRegression) -> FitWarning:
    return FitWarning(
        code="not-converged",
        detail=f"The solver {fitted.solver} stopped after {max(fitted.n_iter_)} iterations "
        "without converging; raise max_iter, or bring the columns to similar scales.",
    )


def _model(dataset: Dataset, kept: Fitted, parent: str | None) -> Model:
    fitted = kept.estimator
    return Model(
        features=kept.preparation.features,
        target=dataset.target,
        classes=dataset.classes,
        coef=fitted.coef_,
        intercept=np.broadcast_to(fitted.intercept_, fitted.coef_.shape[:1]).copy(),
        n_iter=tuple(int(each) for each in fitted.n_iter_),
        params=dataset.params | {"solver": fitted.solver},
        provenance=_provenance(dataset, kept.digest) | {"parent": parent},
        profile=kept.profile,
    )


def _provenance(dataset: Dataset, digest: str) -> dict[str, Any]:
    return {
        "versions": {
            "mlservice": __version__,
            "scikit-learn": sklearn.__version__,
            "scipy": scipy.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "data_digest": f"sha256:{digest}",
        "rows": len(dataset.y),
        "preprocessing": msgspec.to_builtins(dataset.preprocessing),
        "random_state": dataset.params["random_state"],
    }


def _describe(dataset: Dataset, model: Model, told: list[FitWarning]) -> Description:
    described = dataset.describe()
    return msgspec.structs.replace(
        described,
        converged=_has_converged(told),
        warnings=[*described.warnings, *told],
        **coefficients.describe(model),
    )
