"""What may go wrong with a vendor, with a sentence of ours; and how vendors say it: by a status, a name, or words."""

from __future__ import annotations

from server.chat.errors import ProviderErrorCode
from server.streaming.values import value


@value
class Meaning:
    """What a status says. `{name}` in the sentence stands for the provider."""

    code: ProviderErrorCode
    sentence: str
    retryable: bool = False


AUTH = Meaning(
    "provider_auth",
    "{name} refused the API key. Check that it is complete, still valid, and allowed to use this model.",
)
FORBIDDEN = Meaning(
    "provider_auth",
    "{name} does not allow this: the key may not use this model, or it refuses this question, or your region.",
)
BAD_REQUEST = Meaning(
    "provider_bad_request",
    "{name} does not accept this request. Shorten the conversation or change the model or its parameters.",
)
NOT_FOUND = Meaning(
    "provider_bad_request",
    "{name} knows no such model or address. Choose another model, or check the provider's base URL.",
)
TOO_LONG = Meaning(
    "provider_bad_request",
    "The conversation is too long for this model of {name}. Start a new one, or choose a larger model.",
)
FILTERED = Meaning(
    "provider_bad_request",
    "{name} refuses what this conversation is about. Put the question in another way, or choose another model.",
)
UNVERIFIED = Meaning(
    "provider_bad_request",
    "{name} streams this model only to verified organizations. Verify yours there, or choose another model.",
)
REDIRECT = Meaning(
    "provider_bad_request",
    "{name} redirects to another address, where its key may not go. Set the base URL to the final one.",
)
NO_CREDIT = Meaning(
    "provider_rate_limited",
    "The account at {name} has no credit or quota left. Add some there, or use another key or provider.",
)
TIMEOUT = Meaning("provider_timeout", "{name} took too long to answer. Try again.", retryable=True)
RATE_LIMITED = Meaning(
    "provider_rate_limited",
    "{name} receives too many requests with this key at the moment. Wait a little, then try again.",
    retryable=True,
)
OVERLOADED = Meaning(
    "provider_overloaded",
    "{name} is overloaded or has a fault at the moment. Try again, or choose another model.",
    retryable=True,
)
LOADING = Meaning("provider_overloaded", "{name} is still loading the model. Try again in a minute.", retryable=True)
UNREACHABLE = Meaning(
    "provider_unreachable",
    "{name} cannot be reached. Check the provider's base URL, and that the network lets this server out.",
    retryable=True,
)
UNKNOWN_HOST = Meaning(
    "provider_unreachable",
    "The host name of {name} is not known here. Check the provider's base URL, and this machine's network and DNS.",
    retryable=True,
)
CLOSED = Meaning(
    "provider_unreachable",
    "Nothing answers at the address of {name}. Check that it runs, and the provider's base URL.",
    retryable=True,
)
UNTRUSTED = Meaning(
    "provider_unreachable",
    "The TLS certificate of {name} is not trusted here. If its issuer is your own, name it in SSL_CERT_FILE.",
)
NO_TLS = Meaning(
    "provider_unreachable",
    "{name} does not speak TLS as it should. Check whether the provider's base URL begins with http or https.",
)
BAD_PROXY = Meaning(
    "provider_unreachable",
    "The proxy that the environment names (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) does not lead to {name}. Correct it, or "
    "name the provider's host in NO_PROXY.",
    retryable=True,
)
UNUSABLE_PROXY = Meaning(
    "provider_unreachable",
    "The proxy that the environment names (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) is none that this server can use for "
    "{name}: name one that begins with http:// or https://, or none.",
)
FULL = Meaning(
    "provider_unreachable",
    "This server has as many files and connections open as it may, and cannot reach {name}. Try again in a moment; its "
    "operator can raise the limit (ulimit -n).",
    retryable=True,
)
TRUNCATED = Meaning("provider_truncated", "{name} broke off in the middle of the answer. Try again.", retryable=True)
MALFORMED = Meaning(
    "provider_malformed",
    "{name} sent something that is not an answer in its format. Check the provider's base URL, and what "
    "stands between it and this server.",
)

BY_STATUS = {
    400: BAD_REQUEST,
    401: AUTH,
    402: NO_CREDIT,
    403: FORBIDDEN,
    404: NOT_FOUND,
    405: NOT_FOUND,
    408: TIMEOUT,
    409: OVERLOADED,
    413: TOO_LONG,
    422: BAD_REQUEST,
    425: OVERLOADED,
    429: RATE_LIMITED,
    504: TIMEOUT,
}

BY_NAME = {
    "1113": NO_CREDIT,  # Z.ai
    "api_error": OVERLOADED,
    "authentication_error": AUTH,
    "badrequesterror": BAD_REQUEST,
    "billing_error": NO_CREDIT,
    "billing_not_active": NO_CREDIT,
    "content_filter": FILTERED,
    "context_length_exceeded": TOO_LONG,
    "contract_spend_limit_reached": NO_CREDIT,
    "data_inspection_failed": FILTERED,
    "datainspectionfailed": FILTERED,
    "enforced_spend_limit_reached": NO_CREDIT,
    "exceed_context_size_error": TOO_LONG,
    "insufficient_quota": NO_CREDIT,
    "internalservererror": OVERLOADED,
    "invalid_api_key": AUTH,
    "invalid_prompt": FILTERED,
    "invalid_request_error": BAD_REQUEST,
    "model_not_found": NOT_FOUND,
    "not_found_error": NOT_FOUND,
    "notfounderror": NOT_FOUND,
    "overloaded_error": OVERLOADED,
    "permission_error": FORBIDDEN,
    "rate_limit_error": RATE_LIMITED,
    "rate_limit_exceeded": RATE_LIMITED,
    "request_too_large": TOO_LONG,
    "server_error": OVERLOADED,
    "string_above_max_length": TOO_LONG,
    "timeout_error": TIMEOUT,
    "unavailable_error": LOADING,  # llama.cpp
}
"""The `code` or `type` of an error object, as OpenAI, Anthropic, vLLM, llama.cpp and others name them."""

BY_WORDS = {
    "your credit balance is too low": NO_CREDIT,  # Anthropic
    "you have reached your specified api usage limits": NO_CREDIT,
    "insufficient balance": NO_CREDIT,  # Moonshot, Z.ai
    "余额不足": NO_CREDIT,
    "organization must be verified": UNVERIFIED,  # OpenAI
    "incorrect api key provided": AUTH,  # xAI
    "api key not valid": AUTH,  # Gemini
    "context length": TOO_LONG,  # LM Studio
    "context size": TOO_LONG,
}
"""Words in the message of those that say it nowhere else, or call it like everything that is wrong with a request."""

# What an error object may say more exactly than the status that it comes with.
REFINES = (AUTH, NO_CREDIT, TOO_LONG, FILTERED, UNVERIFIED, LOADING)
