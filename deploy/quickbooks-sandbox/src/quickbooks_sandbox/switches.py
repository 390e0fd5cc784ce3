"""Behaviours of QuickBooks Online that a test can turn on, off or up.

Law: with the defaults the sandbox does what the service does on a good day; each trap is a switch.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Limit = int | None


class Switches(BaseModel):
    """The present setting of every switch; `null` turns a limit off."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    requests_per_second: Limit = Field(None, ge=1, description="Per company; Intuit's is 10.")
    requests_per_minute: Limit = Field(None, ge=1, description="Per company; Intuit's is 500.")
    monthly_reads: Limit = Field(
        None, ge=0, description="Reads per company until every read answers 429 (CorePlus quota)."
    )
    access_token_seconds: int = Field(3600, ge=1, description="Life of a new access token.")
    refresh_token_days: int = Field(101, ge=1, description="Life of a refresh token after its use.")
    refresh_rotation: Literal["every-use", "daily", "never"] = Field(
        "every-use",
        description="When a refresh answers a new refresh token; the old value then is dead. "
        "Intuit's is daily.",
    )
    refresh_reuse_revokes: bool = Field(
        False, description="Whether using a dead refresh token ends the whole connection."
    )
    zero_position: Literal["reject", "accept"] = Field(
        "reject", description="What STARTPOSITION 0 or MAXRESULTS 0 does."
    )
    empty_page: Literal["bare", "zero"] = Field(
        "bare", description="`{}`, or the form with startPosition, totalCount and maxResults 0."
    )
    extra_row: bool = Field(False, description="A full page holds one row more than asked for.")
    shuffle_ties: bool = Field(
        False, description="Rows of one second come in another order on every request."
    )
    subtotal_only: Literal["no", "queries", "queries-and-reads"] = Field(
        "no",
        description="Where invoices come with their SubTotal line alone; seen in 2017, in queries.",
    )
    sku_only_when_asked: bool = Field(
        False, description="`SELECT *` leaves Sku out; `SELECT *, Sku` brings it."
    )
    lag_seconds: int = Field(
        0,
        ge=0,
        le=3600,
        description="Queries and CDC show the books as they were so long ago; reads do not.",
    )
    id_form: Literal["text", "number"] = Field(
        "text", description="How ids and SyncTokens are written."
    )
    enum_spelling: Literal["camel", "upper"] = Field(
        "camel", description="`upper`: SALES_ITEM_LINE_DETAIL, NOT_SET, as some answers have it."
    )
    line_ids: Literal["unique", "repeated"] = Field(
        "unique", description="`repeated`: all lines of a document carry the same Id."
    )
    cdc_block_order: Literal["as-asked", "reversed"] = Field(
        "as-asked", description="The order of CDC's blocks: they have to be told by their key."
    )
    cdc_objects: int = Field(1000, ge=1, description="Objects in a CDC answer before it is cut.")
    cdc_days: int = Field(30, ge=1, description="How far CDC looks back, silently.")
    voided_unit_price: Literal["drop", "zero"] = Field(
        "drop", description="What a void does to UnitPrice; both were recorded."
    )
    duplicate_numbers: Literal["accept", "reject"] = Field(
        "accept", description="Whether a DocNumber used twice is refused with 6140."
    )
