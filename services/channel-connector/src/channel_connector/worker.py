"""Works on sync runs until cancelled, several at a time.

The laws of this module: a run is worked on under a lease with a heartbeat; losing the lease stops
the work, and its fencing token makes late writes fail; a process that ends gives its leases back; a
run that was taken up too often is ended with a reason.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import asyncpg
import structlog

from channel_connector import connections, publishing, reading, store
from channel_connector.domain.channels import Channel, Connection
from channel_connector.provider import AccountingSystem, SourceError
from channel_connector.store import LeaseLostError, Run
from chassis.errors import TRANSIENT_ERRORS

log = structlog.get_logger(__name__)

RUNS_AT_ONCE = 4
LEASE_SECONDS = 30.0
HEARTBEAT_SECONDS = 5.0
IDLE_SECONDS = 0.1
RETRY_SECONDS = 1.0
TAKEN_UP_MAX = 20

_NOT_THE_RUNS_FAULT: tuple[type[BaseException], ...] = (LeaseLostError, *TRANSIENT_ERRORS)

SystemOf = Callable[[Connection], AccountingSystem]
"""Makes the client of a connection's company."""


@dataclass(frozen=True)
class Worker:
    """Takes runs and carries them through; `announce` is told when a run has ended."""

    pool: asyncpg.Pool
    system_of: SystemOf
    announce: Callable[[], None] = lambda: None
    lease_seconds: float = LEASE_SECONDS
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Say that there may be a new run; others, of other processes too, are found by looking."""
        self._wanted.set()

    async def run(self) -> None:
        """Take runs as they come, until cancelled. Of those who are free, one looks for runs."""
        async with asyncio.TaskGroup() as group:
            for _ in range(RUNS_AT_ONCE):
                group.create_task(self._take_runs())

    async def _take_runs(self) -> None:
        holder = uuid4()
        while True:
            try:
                async with self._looking:
                    run = await self._next_run(holder)
                await self._work_on(run)
            except TRANSIENT_ERRORS as error:
                log.warning("sync run interrupted", error=repr(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _next_run(self, holder: UUID) -> Run:
        """The next run, when there is one; a run taken while being cancelled is given back."""
        while True:
            self._wanted.clear()
            claim = asyncio.ensure_future(store.claim_run(self.pool, holder, self.lease_seconds))
            try:
                run = await asyncio.shield(claim)
            except asyncio.CancelledError:
                if run := await claim:
                    await store.release_lease(self.pool, run)
                raise
            if run is not None:
                return run
            await self._idle()

    async def _idle(self) -> None:
        try:
            await asyncio.wait_for(self._wanted.wait(), IDLE_SECONDS)
        except TimeoutError:
            return

    async def work_once(self) -> bool:
        """Carry one waiting run through; False if none waits."""
        run = await store.claim_run(self.pool, uuid4(), self.lease_seconds)
        if run is None:
            return False
        await self._work_on(run)
        return True

    async def _work_on(self, run: Run) -> None:
        with structlog.contextvars.bound_contextvars(
            sync_id=run.sync_id, channel_id=run.channel_id, fencing_token=run.fencing_token
        ):
            await self._work_under_lease(run)

    async def _work_under_lease(self, run: Run) -> None:
        """Work while the heartbeat lasts."""
        work = asyncio.ensure_future(self._work(run))
        heartbeat = asyncio.ensure_future(self._keep_lease(run))
        try:
            await asyncio.wait([work, heartbeat], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
            else:
                log.warning("lease lost")
        except LeaseLostError:
            log.warning("lease lost")
        except BaseException:
            await self._give_back(run, work)
            raise
        finally:
            for task in (work, heartbeat):
                task.cancel()
            await asyncio.gather(work, heartbeat, return_exceptions=True)

    async def _give_back(self, run: Run, work: "asyncio.Future[None]") -> None:
        """Stop working and let another process take the run at once."""
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        try:
            await asyncio.shield(store.release_lease(self.pool, run))
        except TRANSIENT_ERRORS as error:
            log.warning("lease not given back; it will run out", error=repr(error))

    async def _keep_lease(self, run: Run) -> None:
        """Renew the lease until it is lost."""
        loop = asyncio.get_running_loop()
        sure_until = loop.time() + self.lease_seconds
        while loop.time() < sure_until:
            await asyncio.sleep(self.heartbeat_seconds)
            try:
                renewed_at = loop.time()
                if not await store.renew_lease(self.pool, run, self.lease_seconds):
                    return
            except TRANSIENT_ERRORS as error:
                log.warning("heartbeat failed", error=repr(error))
            else:
                sure_until = renewed_at + self.lease_seconds

    async def _work(self, run: Run) -> None:
        """Carry a run to its end; a fault that is nobody's plan ends it with a reason, too."""
        log.info("sync run taken", phase=run.phase)
        calls = _Calls(run)
        try:
            _refuse_if_worn_out(run)
            await self._carry_through(run, calls)
        except SourceError as error:
            log.warning("sync run failed", reason=error.reason, detail=error.detail)
            await publishing.fail(self.pool, run, error, calls.total)
        except _NOT_THE_RUNS_FAULT:
            raise
        except Exception as error:
            log.exception("sync run failed by a bug")
            fault = SourceError(
                "upstream-error",
                f"The connector could not go on ({type(error).__name__}); its log says more.",
            )
            await publishing.fail(self.pool, run, fault, calls.total)
        self.announce()

    async def _carry_through(self, run: Run, calls: "_Calls") -> None:
        channel, connection = await self._where(run)
        system = calls.system = self.system_of(connection)
        source_time = run.source_time
        from_sequence = run.next_sequence
        if run.phase == "reading":
            connection = await self._with_company(connection, system)
            source_time = await reading.read_everything(self.pool, run, channel, system)
            await publishing.plan(self.pool, run, channel, calls.total)
            from_sequence = 1
        if source_time is None:
            raise ValueError("a run that publishes has no source time")
        await publishing.publish_everything(
            self.pool, run, connection, system, from_sequence=from_sequence
        )
        await publishing.complete(self.pool, run, system, source_time)
        log.info("sync run completed", http_calls=calls.total)

    async def _where(self, run: Run) -> tuple[Channel, Connection]:
        """The channel and connection of a run.

        Raises:
            SourceError: the connection is gone.
        """
        channel = await store.find_channel(self.pool, run.channel_id)
        if channel is None or channel.connection_id is None:
            raise ValueError(f"the channel of run {run.sync_id} cannot be synced")
        connection = await store.find_connection(
            self.pool, channel.business_id, channel.connection_id
        )
        if connection is None or connection.status == "removed":
            raise SourceError(
                "connection-unavailable",
                f"The accounting connection {channel.connection_id} was removed. Add it again to "
                "the same company; the channel then goes on where it was.",
            )
        return channel, connection

    async def _with_company(self, connection: Connection, system: AccountingSystem) -> Connection:
        """The connection with what its company tells, asked once."""
        if connection.company_read_at is not None:
            return connection
        company = await system.company()
        return await connections.save_company(self.pool, connection, company)


def _refuse_if_worn_out(run: Run) -> None:
    if run.fencing_token > TAKEN_UP_MAX:
        raise SourceError(
            "upstream-error", f"The sync was taken up {TAKEN_UP_MAX} times and never ended."
        )


@dataclass
class _Calls:
    """HTTP calls of a run, those before a take-over too."""

    run: Run
    system: AccountingSystem | None = None

    @property
    def total(self) -> int:
        return self.run.http_calls + (self.system.http_calls if self.system else 0)
