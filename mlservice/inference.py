"""The documents of inference: how sure the coefficients of an unpenalised fit are."""

import msgspec


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """One coefficient with its uncertainty.

    `odds_ratio` is null where it does not fit in float64, as its ends would not either.
    """

    estimate: float
    std_error: float
    z: float
    p_value: float
    ci_low: float
    ci_high: float
    odds_ratio: float | None


class Likelihood(msgspec.Struct, frozen=True, kw_only=True):
    """How well the model fits, beside one that knows the classes' shares only."""

    log_likelihood: float
    deviance: float
    null_deviance: float
    aic: float
    bic: float
    pseudo_r2: float
    parameters: int


class Inference(msgspec.Struct, frozen=True, kw_only=True):
    """What an unpenalised fit allows to say of its coefficients."""

    estimates: dict[str, dict[str, Estimate]]
    likelihood: Likelihood
