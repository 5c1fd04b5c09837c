"""What the service does with models in the store: create, read, list, cancel, delete, load."""

import hashlib

from mlservice.errors import BrokenModel, ModelAliased, ModelEnded
from mlservice.schemas import Summary
from mlservice.settings import Settings
from mlservice.store import keys
from mlservice.store.entries import EntryBuilder
from mlservice.store.link import Link
from mlservice.store.listing import page_of
from mlservice.store.once import KEPT_MS, NEVER, Once
from mlservice.store.pieces import stage
from mlservice.store.records import Record, not_found
from mlservice.store.refusals import check_id, not_ready, refusal

UPLOAD_MS = 60_000


class Models:
    """One tenant's models; those of others do not exist here.

    Parameters
    ----------
    link : Link
        The store.
    settings : Settings
        Limits and the queue's name.
    entry : callable
        Builds the queue's entry for one attempt, `jobs.entry`.
    tenant : str
        Whose models they are.
    """

    def __init__(
        self, link: Link, settings: Settings, entry: EntryBuilder, tenant: str = keys.ANONYMOUS
    ) -> None:
        self.tenant = tenant
        self._link = link
        self._settings = settings
        self._entry = entry

    async def append(self, model_id: str, piece: bytes) -> None:
        """Add a piece to a training's body; it goes after 60 s unless `create` follows.

        Raises
        ------
        StoreFull
            If the store has no room for new work.
        """
        await self._link.fullness.check(self._settings.store_share)
        key = keys.data(model_id)
        await self._link.batch([("RPUSH", key, piece), ("PEXPIRE", key, UPLOAD_MS)])

    async def announce(self, model_id: str, most_bytes: int) -> None:
        """Tell workers of a body that is being appended, and how large it will be at most."""
        await self._link.call("PUBLISH", keys.UPLOADS, f"{model_id} {most_bytes}")

    async def create(
        self,
        model_id: str,
        *,
        name: str | None,
        description: bytes,
        piece: bytes = b"",
        appended_bytes: int = 0,
        once: Once = NEVER,
    ) -> Record:
        """Queue a training, most of whose body was appended before.

        Parameters
        ----------
        model_id : str
            A new UUID.
        name : str, optional
            Its name for people.
        description : bytes
            JSON object of what is known of it already.
        piece : bytes
            What was not appended of its body: less than 1 MiB, and its end.
        appended_bytes : int
            How large the rest of it is, as limits count it.
        once : Once
            Key and digest of a request that may be repeated.

        Returns
        -------
        Record
            As it was created, even if a worker has it by now; or the record of
            another id, which the same request made before.

        Raises
        ------
        IdempotencyKeyReused
            If the key was sent with another body.
        TooManyTrainings, QueueFull, TooManyModels
            If a limit is reached, the tenant's or that of all.
        StoreFull
            If the store has no room for the piece.
        StoreUnavailable
            If the store does not answer; the training may then exist.
        """
        limits = self._settings
        if piece:
            await self._link.fullness.check(limits.store_share)
        entry = self._entry(model_id, 1)
        answer, told = await self._link.script(
            "create", model_id, self.tenant, name or "", description, limits.training_attempts,
            limits.queue_name, entry.id, entry.payload, _ms(limits.queue_timeout_s),
            limits.open_trainings, limits.open_trainings_per_tenant, limits.models_per_tenant,
            once.key, once.fingerprint, KEPT_MS,
            limits.open_bytes, limits.open_bytes_per_tenant, piece,
            appended_bytes + len(piece),
        )  # fmt: skip
        if answer != b"ok":
            return await self._earlier(answer.decode(), told)
        return Record(
            id=model_id,
            tenant=self.tenant,
            state="queued",
            name=name,
            created_ms=told,
            description=description,
        )

    async def _earlier(self, answer: str, told: bytes | int) -> Record:
        """Return the model that the same request made before, or say what stands against one."""
        if isinstance(told, bytes):
            return await self.record(told.decode())
        raise refusal(answer, self._settings, told)

    async def add(
        self,
        model_id: str,
        *,
        name: str | None,
        description: bytes,
        artifact: bytes,
        once: Once = NEVER,
    ) -> Record:
        """Store a model that was trained elsewhere, ready at once.

        Parameters
        ----------
        model_id, name, description, once
            As for `create`.
        artifact : bytes
            The stored form of the model, checked.

        Returns
        -------
        Record
            As for `create`.

        Raises
        ------
        IdempotencyKeyReused, TooManyModels, StoreFull, StoreUnavailable
            As `create` does.
        """
        await self._link.fullness.check(self._settings.store_share)
        digest = await stage(self._link, model_id, 0, artifact)
        answer, told = await self._link.script(
            "import", model_id, self.tenant, name or "", description, digest,
            self._settings.models_per_tenant,
            once.key, once.fingerprint, KEPT_MS,
        )  # fmt: skip
        if answer != b"ok":
            return await self._earlier(answer.decode(), told)
        return Record(
            id=model_id,
            tenant=self.tenant,
            state="ready",
            name=name,
            created_ms=told,
            finished_ms=told,
            description=description,
            sha256=digest,
        )

    async def record(self, model_id: str) -> Record:
        """Return a model's record.

        Raises
        ------
        ModelNotFound
            If there is none.
        """
        await self._check_own(model_id)
        return Record.read(model_id, await self._link.call("HGETALL", keys.record(model_id)))

    async def _check_own(self, model_id: str) -> None:
        """Refuse an id of another tenant's model, and do no more for it than for an absent one."""
        check_id(model_id)
        owner = await self._link.call("HGET", keys.record(model_id), "tenant")
        if owner is None or owner.decode() != self.tenant:
            raise not_found(model_id)

    async def page(
        self,
        *,
        limit: int,
        before: int | None = None,
        state: str = "",
        prefix: str = "",
    ) -> tuple[list[Summary], int | None]:
        """Return the models, newest first, and where the next page begins.

        Parameters
        ----------
        limit : int
            Most models of the page.
        before : int, optional
            Sequence number that the page's models are below.
        state, prefix : str
            State of the models, and beginning of their names; empty: all. Among
            many others fewer than `limit` may be found: the next page goes on.
        """
        return await page_of(
            self._link, self.tenant, limit=limit, before=before, state=state, prefix=prefix
        )

    async def records(self, ids: list[str]) -> list[Record]:
        """Return the records of those models that there are."""
        stored = await self._link.read([("HGETALL", keys.record(each)) for each in ids])
        found = [Record.read(*pair) for pair in zip(ids, stored, strict=True) if pair[1]]
        return [record for record in found if record.tenant == self.tenant]

    async def delete(self, model_id: str) -> None:
        """Delete a model in any state; a training of it stops at its next renewal.

        Raises
        ------
        ModelNotFound
            If there is none.
        ModelAliased
            While an alias points at it.
        """
        check_id(model_id)
        deleted = await self._link.script(
            "delete", model_id, self._settings.queue_name, self.tenant
        )
        if deleted == 0:
            raise not_found(model_id)
        if deleted < 0:
            raise ModelAliased("No alias may point at a model that is deleted, one does.")

    async def cancel(self, model_id: str) -> Record:
        """End a training as cancelled; a fit of it stops at its worker's next renewal.

        Raises
        ------
        ModelNotFound
            If there is none.
        ModelEnded
            If it has ended already.
        """
        check_id(model_id)
        limits = self._settings
        answer = await self._link.script(
            "cancel", model_id, limits.queue_name, _ms(limits.retention_s), self.tenant
        )
        if not answer:
            raise not_found(model_id)
        if answer != b"ok":
            state = answer.decode()
            raise ModelEnded(
                f"The model must be queued or training to be cancelled, it is {state}.",
                members={"state": state},
            )
        return await self.record(model_id)

    async def is_ready(self, model_id: str) -> bool:
        """Tell whether the model is still there to predict."""
        return bool(await self._link.call("HGET", keys.record(model_id), "state") == b"ready")

    async def load(self, model_id: str) -> bytes:
        """Return a ready model's artifact.

        Raises
        ------
        ModelNotFound
            If there is no such model.
        ModelNotReady
            If it is in another state.
        BrokenModel
            If the stored bytes are not those that were written.
        """
        check_id(model_id)
        # Without the description, which may have megabytes.
        found = await self._link.script("load", model_id, self.tenant)
        if not found:
            raise not_found(model_id)
        state, digest, pieces = found
        if state != b"ready":
            raise not_ready(state.decode())
        artifact = b"".join(pieces)
        if hashlib.sha256(artifact).hexdigest().encode() != digest:
            raise BrokenModel("The stored model must have the digest of its record, it has not.")
        return artifact


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
