"""Inventory's answer put onto the lines of a sale.

The law of this module: the answer covers exactly the goods that the sale takes and gives back, line
by line, or it is refused; the sale's cost is the sum of its lines' costs.
"""

from collections.abc import Mapping

from contracts import inventory as messages
from sales_processor.domain.money import ZERO, total
from sales_processor.domain.sale import Content, Costed, CostedLine, Demand, Line, demands

SHORT = "short"
_NOTHING: Mapping[str, messages.CostedLine] = {}


class CostingMismatchError(ValueError):
    """Inventory costed other goods than the sale takes."""


def cost(content: Content, answer: messages.SaleCosted | None) -> Costed:
    """The content with the costs of an answer; without one, for a sale that takes no goods.

    Raises:
        CostingMismatchError: the answer is not about the goods of this content.
    """
    costed = _NOTHING if answer is None else {line.line_id: line for line in answer.lines}
    wanted = [] if content.void_reason else demands(content.lines)
    _check(wanted, costed)
    lines = tuple(_cost_line(line, costed.get(str(line.line_number))) for line in content.lines)
    flags = sorted({flag for line in lines for flag in line.flags})
    return Costed(content, total([line.cost for line in lines]), tuple(flags), lines)


def _check(wanted: list[Demand], costed: Mapping[str, messages.CostedLine]) -> None:
    for demand in wanted:
        line = costed.get(demand.line_id)
        if line is None or line.product_id != demand.product_id or line.quantity != demand.quantity:
            raise CostingMismatchError(
                f"line {demand.line_id} takes {demand.quantity} of {demand.product_id}; the answer "
                + (
                    "has no such line"
                    if line is None
                    else f"is for {line.quantity} of {line.product_id}"
                )
            )
    if len(costed) != len(wanted):
        unasked = sorted(set(costed) - {demand.line_id for demand in wanted})
        raise CostingMismatchError(f"the answer has lines that take no goods: {unasked}")


def _cost_line(line: Line, costed: messages.CostedLine | None) -> CostedLine:
    if costed is None:
        return CostedLine(line, ZERO, (), None, line.flags)
    flags = {*line.flags, *costed.flags}
    if costed.shortage is not None and costed.shortage.open > 0:
        flags.add(SHORT)
    return CostedLine(
        line,
        costed.cost,
        tuple(costed.allocations),
        costed.shortage,
        tuple(sorted(flags)),
        tuple(costed.returned),
    )
