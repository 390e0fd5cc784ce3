"""What a version of a document does to the sale that is known of it.

The laws of this module: a version never goes down; the same version again changes nothing; a void
is by our own records and beats any older version that arrives later; a version that cannot be
applied leaves the applied one in force. Rules SA4, SA5, SA6 and SY5.
"""

from enum import Enum

from sales_processor.domain.sale import Content, Sale, State, demands


class Decision(Enum):
    """What to do with a version; the value of one that skips is the reason."""

    APPLY = "apply"
    VOID = "void"
    UNCHANGED = "unchanged"
    OLDER_VERSION = "older-version"
    IRRELEVANT_CHANGE = "irrelevant-change"
    VOID_OF_UNKNOWN = "void-of-unknown"


def decide(sale: Sale, *, version: int, void: bool, content_hash: str) -> Decision:
    """What a version does to a sale."""
    if version == sale.seen_version:
        return Decision.UNCHANGED
    if version < sale.seen_version:
        return Decision.OLDER_VERSION
    if void:
        return _VOIDS[sale.state]
    if sale.state is State.ACTIVE and sale.content_hash == content_hash:
        return Decision.IRRELEVANT_CHANGE
    return Decision.APPLY


_VOIDS = {
    State.UNKNOWN: Decision.VOID_OF_UNKNOWN,
    State.TOMBSTONE: Decision.VOID_OF_UNKNOWN,
    State.WAITING: Decision.VOID,
    State.ACTIVE: Decision.VOID,
    State.VOIDED: Decision.IRRELEVANT_CHANGE,
}


def accept(sale: Sale, content: Content, *, content_hash: str | None, sync_id: str | None) -> Sale:
    """The sale with a content that gets its cost next; `sync_id` is the run that waits for it."""
    void = content.void_reason is not None
    never_shown = sale.costed_revision == 0
    revision = next_revision(sale.asked_revision, content.version)
    return sale._replace(
        state=State.VOIDED if void else State.ACTIVE,
        seen_version=max(sale.seen_version, content.version),
        content_hash=sale.content_hash if void else content_hash,
        revision=revision,
        asked_revision=revision,
        holds_goods=sale.holds_goods or (not void and bool(demands(content.lines))),
        update_waiting=False,
        draft=content,
        pending_sync_id=sync_id,
        status="costing" if never_shown else sale.status,
        version=content.version if never_shown else sale.version,
    )


def next_revision(asked: int, version: int) -> int:
    """The revision that asks inventory for a version, after the newest that it was asked for.

    It grows with every ask, and follows from the version alone in an undisturbed history, so that
    replaying the topics into empty databases asks the same questions.
    """
    return max(asked, version) + 1


def wait(sale: Sale, version: int) -> Sale:
    """The sale with a version that cannot be applied now: what was accepted stays in force."""
    if sale.state in {State.ACTIVE, State.VOIDED}:
        return sale._replace(seen_version=version, update_waiting=True)
    return sale._replace(
        state=State.WAITING, seen_version=version, version=version, status="waiting"
    )


def note(sale: Sale, version: int) -> Sale:
    """The sale with a newer version that changes nothing; it makes a version that waited moot."""
    if sale.draft is not None:
        draft = sale.draft._replace(version=version)
        return sale._replace(seen_version=version, update_waiting=False, draft=draft)
    return sale._replace(seen_version=version, update_waiting=False, version=version)


def refuse(sale: Sale) -> Sale:
    """The sale whose draft inventory refused: what was shown before stays in force and it waits.

    The refused revision is never asked again, so a repeat of it or of its refusal is told from what
    is asked next.
    """
    shown = sale.costed_revision > 0
    return sale._replace(
        state=State(sale.status) if shown else State.WAITING,
        content_hash=None if shown else sale.content_hash,
        revision=sale.costed_revision,
        update_waiting=shown,
        draft=None,
        pending_sync_id=None,
        status=sale.status if shown else "waiting",
    )
