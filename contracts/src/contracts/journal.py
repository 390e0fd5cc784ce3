"""The journal of a service: in which order it applied the records of its topics."""

from typing import Annotated, Literal

from pydantic import Field

from contracts.base import Count, Id, Instant, Message, Part, Version


class AppliedRange(Part):
    """Records of one partition, from `first_offset` up to but not including `next_offset`."""

    partition: Count
    first_offset: Version
    next_offset: Version


class BatchApplied(Message):
    """A service applied records of one topic as one batch, in the order of the ranges.

    `sequence` counts the batches of the service from 0. `published` counts the messages that came
    of it, `digest` is the SHA-256 of their sorted `ce_id`s.
    """

    type: Literal["batch-applied"] = "batch-applied"
    service: Id
    sequence: Version
    topic: Id
    ranges: Annotated[list[AppliedRange], Field(min_length=1)]
    applied_at: Instant
    published: Count
    digest: Id
