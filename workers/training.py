"""From a request's body to a model: no I/O, no clock, no globals."""

import platform
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
import scipy
import sklearn

from mlservice import __version__, coefficients
from mlservice.catalogue import Solver
from mlservice.dataset import Dataset, Digest
from mlservice.intake import check, with_parent
from mlservice.model import Model
from mlservice.params import why
from mlservice.preparation import Column, Rows, contiguous
from mlservice.profile import Profile, profile_of
from mlservice.schemas import Description, FitWarning, SolverChoice
from mlservice.search import SearchDocument
from mlservice.sent import unwrap
from mlservice.settings import Settings
from mlservice.table import Coming
from workers.beside import beside
from workers.evaluation import evaluate
from workers.fitting import fit, has_converged
from workers.inference import infer
from workers.parting import Elsewhere, Fitted, fit_rows, fitted_part, nowhere, predictor
from workers.progress import Tell, nobody
from workers.search import choose

# To look at as many numbers takes 60 ms, and to fork a process for it 5.
_LARGE = 5_000_000

_look = msgspec.msgpack.Decoder(tuple[str, Profile])


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training gives: the model, its document's members, its name."""

    model: Model
    description: Description
    name: str | None


def train(
    stored: bytes | bytearray,
    limits: Settings,
    tell: Tell = nobody,
    elsewhere: Elsewhere = nowhere,
    coming: Coming | None = None,
) -> Trained:
    """Fit the model that a request asks for.

    Parameters
    ----------
    stored : bytes
        What `POST /models` took, as the store has it; see `sent`.
    limits : Settings
        Limits on the table.
    tell : callable
        Gets the phase, and the iteration and its limit where the solver has them.
    elsewhere : callable
        Waits for the fit of the part that is not held out, which is made here if it has none.
    coming : Coming, optional
        How `stored` comes, see `sent.unwrap`.

    Raises
    ------
    ClientProblem
        If the request is wrong, as the service would have told.
    NumericalFailure
        If no finite coefficients were found.
    """
    sent = unwrap(stored, coming)
    # The caller still holds the body, and the fit needs the memory.
    request, dataset = check(sent, limits, may_clear=True)
    dataset = with_parent(sent, request, dataset)
    dataset, searched, said = _searched(dataset, limits, tell)
    kept, told, found = _fit_and_measure(dataset, limits, tell, elsewhere)
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


def _fit_and_measure(
    dataset: Dataset, limits: Settings, tell: Tell, elsewhere: Elsewhere
) -> tuple[Fitted, list[FitWarning], dict[str, Any]]:
    """Return the model that is kept, warnings, and the description's members about its worth."""
    part, refit = dataset.splits.hold_out(), dataset.splits.evaluation.refit
    taken = dataset
    if part is not None and not refit:
        taken = replace(dataset.take(part[0]), parent=dataset.parent)
    rows = None if part is None or refit else part[0]
    seen = partial(_seen, dataset, taken, rows)
    with beside(seen, is_large=dataset.X.size > _LARGE) as looking:
        estimator, told = fit(taken, tell)
        tell("evaluating")
        digest, profile = _look.decode(looking())
    kept = Fitted(
        preparation=taken.preparation, estimator=estimator, profile=profile, digest=digest
    )
    predict = (
        fitted_part(dataset, part[0], elsewhere) if part and refit else predictor(dataset, kept)
    )
    measured = evaluate(dataset, part, predict, fit_rows, processes=limits.search_processes)
    inferred, why_not = infer(taken, estimator, converged=has_converged(told))
    found = {
        "params": dataset.params | {"solver": estimator.solver},
        "solver_choice": _choice(dataset, estimator.solver),
        "metrics": measured,
        "inference": inferred and inferred.estimates,
        "likelihood": inferred and inferred.likelihood,
    }
    return kept, [*told, *why_not], found


def _seen(dataset: Dataset, taken: Dataset, rows: Rows) -> bytes:
    """Return the digest of all rows and the profile of those that are fitted on, as msgpack."""
    digest = Digest(dataset)

    def columns() -> Iterator[Column]:
        for column in contiguous(dataset.columns):
            digest.add(column)
            yield column

    classes = len(dataset.classes)
    profile = profile_of(columns(), taken.preparation, taken.y, rows, n_classes=classes)
    return msgspec.msgpack.encode((digest.finish(), profile))


def _choice(dataset: Dataset, solver: Solver) -> SolverChoice | None:
    if not dataset.is_automatic:
        return None
    return SolverChoice(asked="auto", picked=solver, reason=why(solver, dataset.params))


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
        converged=has_converged(told),
        warnings=[*described.warnings, *told],
        **coefficients.describe(model),
    )
