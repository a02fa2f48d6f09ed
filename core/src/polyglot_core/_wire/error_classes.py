"""Chooses the class of a provider's error: by its code or type, by the status, and by words of its message.

All knowledge is data: a table of codes, a table of statuses, and a table of phrases, each of which refines the class
that code and status determine.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from polyglot_core.errors import (
    AuthenticationError,
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    ServerError,
)

if TYPE_CHECKING:
    from polyglot_core._values.events import Failure

__all__ = ["class_of_failure", "is_known", "provider_error_class", "retryable_by_status", "specificity"]

_Class = type[ProviderError]

# The codes are from the providers' error references and from recorded responses. Case, `_`, `-`, `.` and a trailing
# "error" or "exception" make no difference.
_CODES: dict[_Class, str] = {
    AuthenticationError: """
        access_token_expired api_key_invalid auth_error authentication authentication_failed expired_key expired_token
        incorrect_api_key invalid_api_key invalid_api_token invalid_auth invalid_authentication invalid_credentials
        invalid_key invalid_token invalid_x_api_key missing_api_key no_api_key token_expired token_not_found_in_db
        unauthenticated unauthorized unrecognized_client
    """,
    PermissionDenied: """
        access_denied forbidden key_model_access_denied permission permission_denied team_model_access_denied
        user_model_access_denied
    """,
    NotFound: """
        deployment_not_found invalid_model invalid_model_id invalid_model_name model_does_not_exist model_not_exist
        model_not_found no_such_model not_found resource_not_found unknown_model
    """,
    ContextLengthExceeded: """
        1261 context_length_exceeded context_limit_exceeded context_window_exceeded error_limit exceed_context_size
        exceed_context_limit input_too_long max_context_length_exceeded model_context_window_exceeded prompt_too_long
        string_above_max_length token_limit_exceeded tokens_limit_reached too_many_tokens
    """,
    QuotaExceeded: """
        1113 allocation_quota.free_tier_only arrearage billing billing_hard_limit_reached billing_not_active
        budget_exceeded credit_limit_exceeded credits_exhausted daily_limit_exceeded exceeded_budget
        exceeded_current_quota insufficient_balance insufficient_credit insufficient_credits insufficient_funds
        insufficient_quota insufficient_user_quota not_enough_credits out_of_credits payment_required quota_exceeded
        quota_exhausted quota_not_enough spend_limit_exceeded spending_limit_exceeded usage_limit_exceeded
        usage_limit_reached
    """,
    RateLimited: """
        concurrency_limit_exceeded rate_limit rate_limited rate_limit_exceeded rate_limit_reached
        request_limit_exceeded requests_limit_exceeded resource_exhausted throttled throttling
        throttling.allocation_quota throttling.rate_quota throttling_quota too_many_requests user_rate_limit_exceeded
    """,
    Overloaded: """
        at_capacity capacity_exceeded engine_overloaded model_loading model_not_ready model_overloaded no_capacity
        over_capacity overloaded server_busy server_is_overloaded server_overloaded service_overloaded
        service_unavailable slow_down system_overloaded temporarily_unavailable unavailable
    """,
    ServerError: """
        api api_connection api_timeout bad_gateway connection deadline_exceeded gateway_timeout internal
        internal_failure internal_server provider provider_timeout read_timeout request_timeout server
        service service_timeout timed_out timeout upstream upstream_timeout
    """,
    InvalidRequest: """
        bad_request content_policy_violation invalid_argument invalid_request unprocessable_entity
        unsupported_parameter unsupported_params
    """,
}

_ENDING = re.compile(r"(?:error|exception)s?$")
_NO_LETTER = re.compile(r"[^a-z0-9]+")
_LONGEST_CODE = 80


def _normalized(word: str) -> str:
    """Return a code in lower case, without punctuation and without "error" or "exception" at its end."""
    plain = _NO_LETTER.sub("", word[:_LONGEST_CODE].lower())
    return _ENDING.sub("", plain) or plain


_CLASS_BY_CODE: dict[str, _Class] = {
    _normalized(code): error_class for error_class, codes in _CODES.items() for code in codes.split()
}

_CLASS_BY_STATUS: dict[int, _Class] = {
    401: AuthenticationError,
    402: QuotaExceeded,
    403: PermissionDenied,
    404: NotFound,
    429: RateLimited,
    503: Overloaded,
    529: Overloaded,
}

_RETRYABLE_BY_STATUS = {
    408: True, 409: True, 425: True, 499: True,
    413: False, 501: False, 505: False, 506: False, 508: False, 510: False, 511: False, 526: False,
}  # fmt: skip
"""Statuses that differ from their class in whether a retry may succeed."""

_GENERAL = (InvalidRequest, ServerError)
_UNSPECIFIC = (*_GENERAL, ProviderError)
_DECISIVE = (ContextLengthExceeded, QuotaExceeded)  # more specific than the class that most places send with them

_SERVER_ERRORS = range(500, 600)
_CLIENT_ERRORS = range(400, 500)
_DIGITS_OF_A_STATUS = 3


def provider_error_class(status: int | None, *words: str | None) -> type[ProviderError]:
    """Return the class of a provider's error: by the first code or type that is known, else by the HTTP status.

    A code for a general "invalid request" or "server error" does not override a more specific status of the response: a
    404 with type ``invalid_request_error`` is `NotFound`, a 503 with ``server_error`` is `Overloaded`. A code that is
    itself the number of a status counts if the status of the response is not specific.
    """
    by_word = next((found for word in words if word and (found := _class_by_code(str(word)))), None)
    by_status = _class_by_status(status)
    if by_word is not None and (by_word not in _GENERAL or status not in _CLASS_BY_STATUS):
        return by_word
    if by_status in _UNSPECIFIC:
        stated = (_class_by_status(int(word)) for word in words if word and _is_status(str(word)))
        return next((found for found in stated if found not in _UNSPECIFIC), by_status)
    return by_status


def class_of_failure(failure: Failure) -> type[ProviderError]:
    """Return the class for a failure, by code, type, status, and by the words of its message."""
    found = provider_error_class(failure.status, failure.code, failure.type)
    text = " ".join(failure.message[:_SEARCHED].split())
    if found in _UNSPECIFIC and (named := _class_named_in(text)) is not None:
        found = named
    for rule in _RULES:
        if found in rule.refines and (rule.despite_a_wait or failure.retry_after is None) and rule.applies(text):
            return rule.error_class
    return found


def retryable_by_status(status: int | None, error_class: type[ProviderError]) -> bool | None:
    """Return whether a retry may succeed after this status; None if the class of the error determines it."""
    stated = None if status is None else _RETRYABLE_BY_STATUS.get(status)
    return None if stated and error_class is not _class_by_status(status) else stated


def is_known(word: str) -> bool:
    """Return True for a code or type in the table."""
    return _class_by_code(word) is not None


def specificity(word: str | None) -> int:
    """Return how much a code or type tells of the class of an error: a higher number for more, 0 for nothing."""
    if not word:
        return 0
    by_word = _class_by_code(word)
    if by_word is None:
        by_number = _class_by_status(int(word)) if _is_status(word) else None
        if by_number is None:
            return 1 if word.isdecimal() else 2
        return 1 if by_number in _UNSPECIFIC else 3
    if by_word in _GENERAL:
        return 2
    return 5 if by_word in _DECISIVE else 4


def _class_by_code(word: str) -> _Class | None:
    return _CLASS_BY_CODE.get(_normalized(word))


def _is_status(word: str) -> bool:
    return len(word) == _DIGITS_OF_A_STATUS and word.isascii() and word.isdecimal()


def _class_by_status(status: int | None) -> type[ProviderError]:
    if status in _CLASS_BY_STATUS:
        return _CLASS_BY_STATUS[status]
    if status in _SERVER_ERRORS:
        return ServerError
    if status in _CLIENT_ERRORS:
        return InvalidRequest
    return ProviderError


# Words of messages

_SEARCHED = 16 * 1024  # characters of a message that are searched

_NAMED = re.compile(
    r"(?:^|[:\s(])(?:[a-z_]\w{0,40}\.){0,4}([A-Z]\w{2,60}(?:Error|Exception)|Timeout)(?=:|\()", re.ASCII
)
_MOST_NAMES = 8


def _class_named_in(text: str) -> type[ProviderError] | None:
    """Return the class for the first exception that a message names before a colon, as in ``RateLimitError: …``."""
    for _, found in zip(range(_MOST_NAMES), _NAMED.finditer(text), strict=False):
        named = _class_by_code(found[1])
        if named is not None and named not in _GENERAL:
            return named
    return None


class _Rule(NamedTuple):
    """Phrases that refine the class of an error.

    Attributes:
        error_class: The class that they mean.
        refines: The classes, by code and status, that they refine.
        phrases: Expressions, any of which is enough. Case is ignored.
        unless: An expression that excludes the rule.
        despite_a_wait: False if the rule does not apply to an error that states how long to wait.
    """

    error_class: type[ProviderError]
    refines: tuple[type[ProviderError], ...]
    phrases: re.Pattern[str]
    unless: re.Pattern[str] | None = None
    despite_a_wait: bool = True

    def applies(self, text: str) -> bool:
        """Return True if the text holds one of the phrases, and nothing that excludes the rule."""
        return bool(self.phrases.search(text)) and not (self.unless and self.unless.search(text))


def _any(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


_PER_TIME = _any(r"\bper[ _-]?(?:minute|second|hour)", r"\b[TR]PM\b", r"\brate[ _-]?limit")
_ABSENT = (
    r"(?:(?:does|do|did) not exist|doesn['\u2019]t exist|(?:was |is |were |are )?not found|(?:could|can) ?not be found)"
)
_NAME = r"['\"`“(\[]?[\w./:@+-]{1,120}['\"`”)\]]?"

_IS_OVERLOADED = r"\b(?:is|are|was|currently|temporarily) overloaded\b|^overloaded\b|: overloaded\.?$"

_RULES = (
    _Rule(
        ContextLengthExceeded,
        (InvalidRequest, ProviderError),
        _any(
            r"max(?:imum)? (?:allowed )?context (?:length|size|window)",
            r"context (?:length|window|size)(?: is)? (?:of )?only\b",
            r"(?:exceed(?:s|ed|ing)?|larger than|longer than|greater than|beyond|fit (?:in|into|within)|overflows?|"
            r"outside) (?:of )?(?:the |this |its |your |available |model['\u2019]?s? |maximum |allowed |configured )*"
            r"(?:\w+['\u2019]s )?context(?:\b|_)",
            r"context (?:length|window|size|limit)(?: of [\w./:-]{1,80})? (?:has been |was |is )?(?:exceeded|overflow)",
            r"\bcontext[ _-]?length[ _-]exceeded",
            r"max_model_len\b",
            r"\b(?:prompt|input) (?:is |was )?too (?:long|large) for (?:the|this) model",
            r"\bprompt (?:is |was )?too long\b",
            r"\binput is too long for\b",
            r"\b(?:^|: )input is too long\b",
            r"\btoo many (?:input |prompt |total )?tokens\b(?! (?:per|in logit|generated|of type))",
            r"\binput token count\b.{0,60}\bexceed",
            r"exceed(?:s|ed)? (?:the |this )?(?:model['\u2019]?s? )?max(?:imum)? (?:allowed )?(?:number of )?"
            r"(?:input |prompt )?tokens?\b(?! per)",
            r"exceed(?:s|ed)? (?:the |this )?(?:model['\u2019]?s? )?(?:max(?:imum)? )?(?:input|prompt) (?:token )?"
            r"(?:limit|length)",
            r"exceed(?:s|ed)? (?:the |this )?model(?:['\u2019]s)? token limit",
            r"\bmaximum (?:prompt|input) length (?:is|of)\b",
            r"reduce the length of (?:the|your) (?:messages|prompt|input|conversation)",
            r"range of input length should be",
            r"\binputs?`? tokens ?\+ ?`?max_new_tokens",
            r"`inputs` must have less than \d+ tokens",
        ),
        _PER_TIME,
    ),
    _Rule(
        QuotaExceeded,
        (RateLimited, InvalidRequest, PermissionDenied, AuthenticationError, ProviderError, ServerError),
        _any(
            r"\binsufficient (?:account )?(?:balance|credits?|funds|quota)\b",
            r"\b(?:account|credit) balance (?:is )?(?:too low|insufficient|not enough|exhausted)",
            r"\b(?:balance|credits?) (?:is|are|has been|have been) (?:insufficient|exhausted|used up|depleted|too low)",
            r"\b(?:run|ran) out of (?:your )?(?:\w+ )?(?:credits|quota|balance|funds)",
            r"\bout of (?:\w+ )?credits\b",
            r"\b(?:not enough|no remaining|no more) (?:\w+ )?credits\b",
            r"\brequires more credits\b",
            r"\b(?:has|have|with) no (?:\w+ )?credits\b",
            r"\b(?:does not|doesn['\u2019]t) have any credits\b",
            r"\b(?:used|consumed) (?:up )?all (?:of )?(?:your |the |its )?(?:available |monthly |free )?"
            r"(?:credits|quota)",
            r"(?<!thinking )(?<!reasoning )(?<!token )\bbudget (?:has been |was |is |limit )*"
            r"(?:exceeded|exhausted|reached)",
            r"\b(?:exceed(?:s|ed)|over|reached) (?:the |your |its |max |monthly |team |daily )*budget\b",
            r"\b(?:spend|spending|billing|credit)(?: hard)? (?:limit|cap) (?:has been |was |is )?"
            r"(?:exceeded|reached|hit)",
            r"\b(?:exceeded|reached|hit) (?:the |your |its |a |monthly )*(?:spend|spending|billing|usage|credit)"
            r"(?: hard)? (?:limit|cap)",
            r"\bcheck your billing\b",
            r"\bbilling (?:details|account) (?:is|are) not active",
            r"\bpayment required\b",
            r"\b(?:account|service) (?:is |has been )?(?:suspended|deactivated) due to (?:insufficient|overdue|unpaid)",
            r"\bin arrears\b",
            r"\b(?:please )?(?:recharge|top[ -]up) (?:your|the) (?:account|balance|credits)",
            r"余额不足|欠费",
        ),
    ),
    _Rule(
        QuotaExceeded,
        (RateLimited, InvalidRequest, PermissionDenied, ProviderError),
        _any(
            r"\bexceeded (?:your|the) (?:current |monthly |daily |account )*quota\b",
            r"\b(?:current|monthly|daily|account|usage) quota (?:has been |was |is )?(?:exceeded|exhausted|used up)",
            r"\bcheck your plan and billing\b",
            r"\busage limit (?:has been |was |is )?(?:exceeded|reached|hit)\b",
            r"\b(?:monthly|weekly) (?:usage |request |token )?limit (?:has been |was |is )?(?:exceeded|reached)",
        ),
        _PER_TIME,
        despite_a_wait=False,
    ),
    _Rule(
        AuthenticationError,
        (InvalidRequest, PermissionDenied, ProviderError),
        _any(
            r"\b(?:incorrect|invalid|expired|missing|wrong|unknown|malformed) (?:x-)?api[ _-]?key\b(?! parameter)",
            r"\bapi[ _-]?key (?:is )?(?:not valid|invalid|expired|missing|incorrect|not provided)\b",
            r"\bapi[ _-]?key (?:has|was|is) (?:expired|revoked|disabled)\b",
            r"\b(?:no|did ?n['\u2019]t provide an|did not provide an) api[ _-]?key\b",
            r"\b(?:invalid|expired) (?:authentication|access|bearer|security) (?:token|credentials?)\b",
            r"\binvalid authentication\b",
            r"\bauthentication (?:failed|required)\b",
        ),
    ),
    _Rule(
        NotFound,
        (InvalidRequest, ProviderError),
        _any(
            rf"\bmodels?(?: id| name| named)?[:=]? (?:{_NAME} )?{_ABSENT}\b",
            r"\b(?:is )?not a valid model(?: id| name| identifier)?\b",
            r"\b(?:no such|unknown) model\b",
            r"\binvalid model (?:id|name|identifier)\b",
            r"\bno (?:endpoints|providers?) found for (?:the )?(?:model )?[\w-]{1,60}/",
        ),
    ),
    _Rule(
        RateLimited,
        (InvalidRequest, ProviderError, ServerError),
        _any(
            r"\brate[ -]?limit(?:s)? (?:has been |was |is )?(?:exceeded|reached|hit)\b",
            r"\b(?:exceeded|reached|hit) (?:the |your |its )*(?:\w+ )?rate[ -]?limit",
            r"\brate[- ]?limited\b",
            r"\btoo many requests\b",
        ),
    ),
    _Rule(
        Overloaded,
        (RateLimited,),
        _any(_IS_OVERLOADED),
    ),
    _Rule(
        Overloaded,
        (InvalidRequest,),
        _any(
            r"\b(?:engine|model|server|service|system|provider|backend)s?\b.{0,60}\b(?:is|are) "
            r"(?:currently |temporarily )?overloaded\b"
        ),
    ),
    _Rule(
        Overloaded,
        (ProviderError, ServerError),
        _any(
            _IS_OVERLOADED,
            r"\b(?:is |are )?(?:at|over) capacity\b",
            r"\b(?:no available|insufficient) capacity\b",
            r"\btemporarily unavailable\b",
            r"\b(?:server|service|system|model)s? (?:is |are )(?:too |very |currently )?busy\b",
            r"\b(?:high|heavy) (?:demand|load|traffic)\b",
        ),
    ),
    _Rule(
        ServerError,
        (ProviderError,),
        _any(
            r"\binternal (?:server )?error\b",
            r"\b(?:request|upstream|connection|operation|provider) timed out\b",
            r"\b(?:upstream|gateway) (?:time-?out|error)\b",
            r"\bupstream connect error\b",
            r"\bbad gateway\b",
        ),
    ),
)
"""The rules in order of precedence. Phrases are narrow: a message may name any field of the request."""
