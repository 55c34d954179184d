"""Timekeeping: can what this host's clock says be believed, when a retention clock hangs on it?

    believe(session, now)                      # before anything that time decides
    believe(session, now, for_good=True)       # before what cannot be undone

Witnesses are the newest leaf of the audit log and, on PostgreSQL, the server's own clock. A clock
that is behind them is wrong. One that jumped ahead would end every retention at once: so nothing is
undone for good after a silence of the log of more than SILENCE, until the log has been written to
for that long again. By then somebody has seen that nothing else works with such a clock.

This locks nobody out. Every command that leaves a leaf puts its time on record, so that with the
clock put right one `hashmatch scan` makes the newest leaf a true one, also after a leaf from the
future. With the clock right all along (the host was off), the nightly runs of SILENCE do it.

Not guaranteed: that a jump of less than SILENCE is seen, or one that stays unnoticed for longer.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hashmatch.audit.log import last_leaves, written
from hashmatch.db.schema import LeafRow
from hashmatch.errors import CustodyError

APART = timedelta(minutes=5)
SILENCE = timedelta(days=10)


class ClockWrong(CustodyError):
    message = "This host's clock says {now}, but {witness} {then}: it cannot be believed."
    remedy = (
        "Put the clock right (`timedatectl` shows it). If it is right now and was ahead before, "
        "run `hashmatch scan`, which puts the right time on record. Then do this again."
    )


class ClockJumped(ClockWrong):
    message = "Nothing in the audit log shows that the time from {then} to {now} has passed."
    remedy = (
        "If this host's clock has jumped ahead, put it right, run `hashmatch scan` and do this "
        "again. If it is right and nothing ran meanwhile, let `hashmatch scan` run every night: "
        "from {again} on, cases can be destroyed and forgotten again."
    )


def believe(session: Session, now: datetime, *, for_good: bool = False) -> None:
    """Raises ClockWrong if `now` cannot be true, ClockJumped if it may not be (with for_good)."""
    if session.get_bind().dialect.name == "postgresql":
        server = session.scalars(select(func.clock_timestamp())).one()
        if abs(server - now) > APART:
            witness = "the database server's clock says"
            raise ClockWrong(now=written(now), witness=witness, then=written(server))
    newest = last_leaves(session, 1)
    if newest and now < newest[0].at - APART:
        witness = "the newest leaf of the audit log is from"
        raise ClockWrong(now=written(now), witness=witness, then=written(newest[0].at))
    if for_good:
        _refuse_silence(session, now)


def _refuse_silence(session: Session, now: datetime) -> None:
    # The last leaf from before the last SILENCE, by its place in the log: that is where a silence
    # began which had not ended SILENCE ago.
    before = session.execute(
        select(LeafRow.seq, LeafRow.at)
        .where(LeafRow.at <= now - SILENCE)
        .order_by(LeafRow.seq.desc())
        .limit(1)
    ).first()
    if before is None:
        return
    ended = session.scalar(select(LeafRow.at).where(LeafRow.seq == before.seq + 1)) or now
    if ended - before.at > SILENCE:
        again = written(ended + SILENCE)
        raise ClockJumped(now=written(ended), then=written(before.at), again=again)
