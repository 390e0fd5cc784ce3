"""Errors in the shapes that QuickBooks Online uses.

Law: a handler raises `QboError`; only the gateway turns it into bytes, so all answers are alike.
Source: recorded faults; field names, `type` values and codes are Intuit's.
"""

from dataclasses import dataclass, field
from datetime import datetime

from quickbooks_sandbox import wire
from quickbooks_sandbox.clock import milliseconds_text

BAD_REQUEST = 400
UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_ACCEPTABLE = 406
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500


@dataclass
class QboError(Exception):
    """One fault, as a client will see it."""

    code: str
    message: str
    detail: str
    element: str | None = None
    type: str = "ValidationFault"
    status: int = BAD_REQUEST
    timed: bool = True
    headers: dict[str, str] = field(default_factory=dict)

    def fault(self) -> wire.Document:
        """The `Fault` object alone, as batch items carry it."""
        error = {"Message": self.message, "Detail": self.detail, "code": self.code}
        if self.element is not None:
            error["element"] = self.element
        return {"Error": [error], "type": self.type}

    def body(self, now: datetime) -> bytes:
        """The whole answer: the usual envelope, or the gateway's lowercase one."""
        if self.type in {"AUTHENTICATION", "SERVICE"}:
            return wire.encode(self._gateway_envelope(now)).encode()
        envelope: wire.Document = {"Fault": self.fault()}
        if self.timed:
            envelope["time"] = milliseconds_text(now)
        return wire.encode(envelope).encode()

    def _gateway_envelope(self, now: datetime) -> wire.Document:
        error = {
            "message": self.message,
            "detail": self.detail,
            "code": self.code,
            "element": self.element,
        }
        return {
            "warnings": None,
            "intuitObject": None,
            "fault": {"error": [error], "type": self.type},
            "report": None,
            "queryResponse": None,
            "batchItemResponse": [],
            "attachableResponse": [],
            "syncErrorResponse": None,
            "requestId": None,
            "time": int(now.timestamp() * 1000),
            "status": None,
            "cdcresponse": [],
        }


def token_expired(token: str) -> QboError:
    """401 for a missing, unknown or expired access token; only its first four characters show."""
    return QboError(
        "3200",
        "message=AuthenticationFailed; errorCode=003200; statusCode=401",
        f"Token expired: {token[:4]}{'x' * max(0, min(len(token), 24) - 4)}",
        type="AUTHENTICATION",
        status=UNAUTHORIZED,
        headers={"WWW-Authenticate": 'Bearer realm="Intuit", error="invalid_token"'},
    )


def wrong_realm() -> QboError:
    """403 for a token of another company."""
    return QboError(
        "3100",
        "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403",
        "",
        type="SERVICE",
        status=FORBIDDEN,
    )


def throttled_xml(now: datetime, detail: str) -> bytes:
    """The body of a 429: XML even for clients that asked for JSON.

    Source: python-quickbooks issue 43 and a recorded fixture; no JSON form was ever found.
    """
    text = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
        '<IntuitResponse xmlns="http://schema.intuit.com/finance/v3" '
        f'time="{milliseconds_text(now)}"><Fault type="SERVICE"><Error code="3001">'
        "<Message>message=ThrottleExceeded; errorCode=003001; statusCode=429</Message>"
        f"<Detail>{detail}</Detail></Error></Fault></IntuitResponse>"
    )
    return text.encode()


def json_only() -> QboError:
    """Say clearly that the real service would have answered XML here."""
    return QboError(
        "500",
        "Unsupported Operation",
        "The request does not ask for JSON, and QuickBooks Online would answer it with XML. This "
        "sandbox imitates the JSON API only: send the header 'Accept: application/json'.",
        status=NOT_ACCEPTABLE,
    )


def not_found() -> QboError:
    """610 for an id that does not exist or was deleted: HTTP 400, not 404."""
    return QboError(
        "610",
        "Object Not Found",
        "Object Not Found : Something you're trying to use has been made inactive. Check the "
        "fields with accounts, customers, items, vendors or employees.",
        element="",
    )


def stale(user: str) -> QboError:
    """5010 for a SyncToken that is not the latest."""
    return QboError(
        "5010",
        "Stale Object Error",
        f"Stale Object Error : You and {user} were working on this at the same time. {user} "
        "finished before you did, so your work was not saved.",
        element="",
    )


def invalid_id(value: str) -> QboError:
    """2030 for an id that is no number; recorded without a `time`."""
    return QboError(
        "2030",
        "Invalid ID",
        f"Id should be a valid number. Supplied value:{value}",
        element="Id",
        timed=False,
    )


def missing(parameter: str) -> QboError:
    """2020 for a required field that is absent."""
    return QboError(
        "2020",
        "Required param missing, need to supply the required value for the API",
        f"Required parameter {parameter} is missing in the request",
        element=parameter,
    )


def unsupported(operation: str) -> QboError:
    """Code 500 for an operation or resource that does not exist: HTTP 400."""
    return QboError("500", "Unsupported Operation", f"Operation {operation} is not supported.")


def unknown_property(entity: str, name: str) -> QboError:
    """2010 for a field that the entity does not have."""
    return QboError(
        "2010",
        "Request has invalid or unsupported property",
        f'Property Name:Unrecognized field "{name}" (class com.intuit.schema.finance.v3.{entity}), '
        "not marked as ignorable\n specified is unsupported or invalid",
    )


def invalid_reference(element: str, value: str) -> QboError:
    """2500 for a reference to an id that does not exist."""
    return QboError(
        "2500",
        "Invalid Reference Id",
        f"Invalid Reference Id : {element} element id {value} not found",
        element="",
    )


def invalid_number(element: str, value: object) -> QboError:
    """2090 for a value that should be a number and is not."""
    return QboError(
        "2090",
        "Invalid Number",
        f"{element} should be a valid number. Supplied value:{value}",
        element=element,
    )


def malformed_date(element: str, value: object) -> QboError:
    """2040 for a value that should be a date and is not."""
    return QboError(
        "2040",
        "Invalid Date",
        f"{element} should be a valid date (yyyy-mm-dd). Supplied value:{value}",
        element=element,
    )


def business(detail: str) -> QboError:
    """6000 for what the books do not allow."""
    return QboError(
        "6000",
        "A business validation error has occurred while processing your request",
        f"Business Validation Error: {detail}",
        element="",
    )


def query_parser(detail: str) -> QboError:
    """4000 for a statement that cannot be parsed."""
    return QboError("4000", "Error parsing query", f"QueryParserError: {detail}")


def query_validation(detail: str) -> QboError:
    """4001 for a statement that parses but means nothing."""
    return QboError("4001", "Invalid query", f"QueryValidationError: {detail}")


def system_fault(detail: str) -> QboError:
    """10000: the server's own failure."""
    return QboError(
        "10000",
        "An application error has occurred while processing your request",
        f"System Failure Error: {detail}",
        type="SystemFault",
        status=SERVER_ERROR,
    )
