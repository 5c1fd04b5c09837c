"""What an operator may set, read once from the environment.

Each field of `Settings` is the variable `MLSERVICE_<FIELD>`; its description
is the text of the table in `docs/operating.md`, which a test holds to this.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mlservice.environment import convert, read, variable

__all__ = ["FIELDS", "Settings", "variable"]

MEBIBYTE = 1024 * 1024


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set, with its default."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    ] = 8000
    data_dir: Annotated[
        str,
        Meta(description="Folder of the private Valkey; empty: the user's data folder (XDG)."),
    ] = ""
    redis_url: Annotated[
        str,
        Meta(
            description="Address of the store: `redis://`, `rediss://`, `unix://` or "
            "`redis+sentinel://`; empty: `mlservice serve` starts a private Valkey, all else uses `redis://localhost:6379`."
        ),
    ] = ""
    processes: Annotated[
        int, Meta(ge=1, le=256, description="API processes that `mlservice serve` starts.")
    ] = 1
    drift: Annotated[
        bool, Meta(description="Count the values of features that models are asked.")
    ] = True
    queue_name: Annotated[str, Meta(min_length=1, description="arq's queue.")] = "arq:queue"
    require_keys: Annotated[
        bool, Meta(description="Ask every client for a key, see `mlservice keys`.")
    ] = False
    allow_anonymous: Annotated[
        bool, Meta(description="Listen on an address that is not loopback without keys.")
    ] = False
    refused_keys: Annotated[
        int,
        Meta(
            ge=1,
            description="Keys of one address that may be refused in a minute before it must wait.",
        ),
    ] = 30
    trusted_proxies: Annotated[
        str,
        Meta(
            description="Addresses or networks of proxies, with commas, whose `X-Forwarded-For` "
            "is believed; empty: none."
        ),
    ] = ""
    predict_rate: Annotated[
        int,
        Meta(
            ge=0,
            description="Most requests a second, per tenant, to predict and read, shared out "
            "among the `processes`; 0: any number.",
        ),
    ] = 0
    train_rate: Annotated[
        int,
        Meta(
            ge=0,
            description="Most requests a minute, per tenant, to train and change; 0: any number.",
        ),
    ] = 0
    allowed_hosts: Annotated[
        str,
        Meta(
            description="Names that requests may have in `Host` beside loopback's, with commas; "
            "empty: any, but on a loopback address without keys only loopback's."
        ),
    ] = ""
    allowed_origins: Annotated[
        str,
        Meta(
            description="Origins whose pages may call (CORS), such as `https://example.org`, "
            "with commas; empty: none."
        ),
    ] = ""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Least level that is logged."),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "text"],
        Meta(description="`auto`: text on a terminal, JSON lines otherwise."),
    ] = "auto"
    appendfsync: Annotated[
        Literal["everysec", "always"],
        Meta(description="When the private Valkey's append-only file is synced to disk."),
    ] = "everysec"

    accept_store_risks: Annotated[
        str,
        Meta(
            description="Risks of the store that are taken, by the names that "
            "`mlservice doctor` tells, with commas; empty: none."
        ),
    ] = ""
    store_memory_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Memory of the private Valkey; 0: half of what there is.",
        ),
    ] = 0
    store_timeout_s: Annotated[
        float, Meta(gt=0, description="Longest wait for one answer of the store.")
    ] = 2.5
    max_connections: Annotated[
        int, Meta(ge=1, description="Most connections of clients to one process.")
    ] = 8192
    max_requests: Annotated[
        int, Meta(ge=1, description="Most requests under way in one process.")
    ] = 2048
    header_timeout_s: Annotated[
        float, Meta(gt=0, description="Time for a new connection to send its first request's head.")
    ] = 15.0
    keepalive_timeout_s: Annotated[
        float,
        Meta(gt=0, description="Time that a connection stays open between two requests."),
    ] = 75.0
    slow_client_s: Annotated[
        float, Meta(gt=0, description="Time that a client may lag behind the rate below.")
    ] = 30.0
    slow_client_bytes_per_s: Annotated[
        int, Meta(ge=1, description="Rate at which clients must send bodies and take answers.")
    ] = 16384
    upload_bytes_per_s: Annotated[
        int,
        Meta(
            ge=0,
            description="Rate at which one process reads large bodies of trainings and models, "
            "together, while it answers other requests; 0: as fast as they come.",
        ),
    ] = 10 * MEBIBYTE
    drain_delay_s: Annotated[
        float,
        Meta(ge=0, description="Time between a stop, told by readiness, and the last connection."),
    ] = 0.0
    shutdown_timeout_s: Annotated[
        float, Meta(gt=0, description="Time that requests under way get at a stop.")
    ] = 30.0
    cache_bytes: Annotated[
        int, Meta(ge=0, description="Memory for reconstructed models in one process.")
    ] = 256 * MEBIBYTE

    worker_slots: Annotated[
        int, Meta(ge=1, le=1000, description="Trainings that one worker runs side by side.")
    ] = 2
    poll_delay_s: Annotated[
        float,
        Meta(
            gt=0,
            description="How often a worker looks for new trainings under arq's own command "
            "line; `python -m workers` is told of them.",
        ),
    ] = 0.01
    lease_s: Annotated[
        float, Meta(gt=0, description="Silence after which a worker counts as lost.")
    ] = 15.0
    renew_s: Annotated[
        float, Meta(gt=0, description="How often a worker renews the lease of a training.")
    ] = 0.5
    sweep_s: Annotated[
        float, Meta(gt=0, description="How often each process looks for what was lost.")
    ] = 4.0
    training_attempts: Annotated[
        int, Meta(ge=1, description="Workers that may die of one training before it fails.")
    ] = 3
    training_timeout_s: Annotated[
        float, Meta(gt=0, description="Longest time for one training.")
    ] = 3600.0
    training_memory_bytes: Annotated[
        int, Meta(ge=128 * MEBIBYTE, description="Memory that one training's process may take.")
    ] = 4096 * MEBIBYTE
    search_processes: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="Fits of one search, or of folds, that run side by side, each with one "
            "BLAS thread, sharing its memory; 0: as many as there are cores, or a container has of "
            "them.",
        ),
    ] = 0
    queue_timeout_s: Annotated[
        float, Meta(gt=0, description="Longest time for a training to wait for a worker.")
    ] = 86400.0
    retention_s: Annotated[
        float, Meta(gt=0, description="How long the record of a failed or cancelled one is kept.")
    ] = 604800.0

    training_body_bytes: Annotated[
        int, Meta(ge=1, description="Largest body of a training, decoded.")
    ] = 256 * MEBIBYTE
    model_bytes: Annotated[int, Meta(ge=1, description="Largest file of a model to import.")] = (
        128 * MEBIBYTE
    )
    prediction_body_bytes: Annotated[
        int, Meta(ge=1, description="Largest body of a prediction that is not streamed, decoded.")
    ] = 64 * MEBIBYTE
    prediction_cells: Annotated[
        int,
        Meta(
            ge=1, description="Most numbers of an answer that is not streamed, rows times classes."
        ),
    ] = 10_000_000
    prediction_idle_s: Annotated[
        float, Meta(gt=0, description="Longest time for nothing to move in a streamed prediction.")
    ] = 30.0
    max_features: Annotated[int, Meta(ge=1, description="Most features of a table.")] = 10_000
    max_categories: Annotated[int, Meta(ge=1, description="Most categories of a text column.")] = (
        1_000
    )
    max_columns: Annotated[
        int, Meta(ge=1, description="Most columns of a fit, text one-hot encoded.")
    ] = 100_000
    max_classes: Annotated[int, Meta(ge=2, description="Most classes of a target.")] = 1_000
    max_cells: Annotated[
        int, Meta(ge=1, description="Most cells of a table, rows times features.")
    ] = 100_000_000
    max_coefficients: Annotated[
        int, Meta(ge=1, description="Most coefficients of a model, classes times columns.")
    ] = 10_000_000
    max_search_points: Annotated[
        int, Meta(ge=1, description="Most points of a search for parameters.")
    ] = 1_000
    open_trainings: Annotated[
        int, Meta(ge=1, description="Most trainings queued or running, in all.")
    ] = 1_000
    open_trainings_per_tenant: Annotated[
        int, Meta(ge=1, description="Most trainings queued or running, per tenant.")
    ] = 100
    open_bytes: Annotated[
        int, Meta(ge=1, description="Most bytes of trainings queued or running, in all.")
    ] = 2048 * MEBIBYTE
    open_bytes_per_tenant: Annotated[
        int, Meta(ge=1, description="Most bytes of trainings queued or running, per tenant.")
    ] = 1024 * MEBIBYTE
    store_share: Annotated[
        float,
        Meta(gt=0, le=1, description="Share of the store's memory beyond which no work is taken."),
    ] = 0.8
    models_per_tenant: Annotated[int, Meta(ge=1, description="Most models, per tenant.")] = 100_000

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the variables that begin with `MLSERVICE_`.

        Raises
        ------
        BadSetting
            If a variable is unknown, or its value is not of the field's type.
        """
        return cls(**read(cls, environ))

    def with_flags(self, **flags: object) -> "Settings":
        """Return these settings with those of `flags` that are not None.

        Raises
        ------
        BadSetting
            If a flag's value is not of the field's type.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        for name, value in given.items():
            convert(Settings, name, value, "--" + name.replace("_", "-"))
        return msgspec.structs.replace(self, **given)

    @property
    def store_url(self) -> str:
        """Address of the store where none is started privately."""
        return self.redis_url or "redis://localhost:6379"


FIELDS: tuple[str, ...] = tuple(field.name for field in msgspec.structs.fields(Settings))
