"""Secrets: refused where they would be stored, and masked in whatever is printed or stored.

The parameters of a run are stored by MLflow and seen in the list of processes, so a secret in one of them is refused.
Environment variables may hold secrets: these are used, and masked in all texts that could repeat them.
"""

import base64
import html
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TextIO
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from twinner.errors import BadInput

MASK = "***"
# Variables that are a secret, and variables that are a URL which may hold one.
SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "HF_TOKEN",
    "PGPASSWORD",
    "MYSQL_PWD",
)
URL_VARIABLES = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_ARTIFACTS_DESTINATION",
    "MLFLOW_S3_ENDPOINT_URL",
    "TWINNER_MAVEN",
    "TWINNER_CORPORA",
    "HF_ENDPOINT",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
)
SPARK_SECRET = re.compile("(?i)secret|password|token|access[.]?key")  # the default of spark.redaction.regex
SHORT = 8  # a known secret below this length is masked only as a whole word: `test` may be a password

# The user and password of a URL: up to the last @ of its host, or an unquoted / or # in a password. A port is none.
_USER = re.compile(r"(?<=://)(?:([^\s/?#@:\['\"]*):)?(?:[^\s/?#]*@|(?<=:)(?!\d*(?:[/?#,;]|$))\S*@)")
_QUERY = re.compile(r"(?<=[?&;#])([^\s?&;#='\"]+)=([^\s&;#'\"<>]+)")
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_SECRET_WORD = re.compile(
    "(access|api|auth|client|private|secret)?(key|token|secret)"
    "|signature|sig|sas|jwt|pass(word|wd)?|pwd|credentials?|auth(orization)?"
)


def refuse_secrets(settings: Mapping[str, Any]) -> None:
    """Raise BadInput for the first parameter, by name, that holds a secret; the error does not repeat it.

    A secret is a user or password in a URL, a signature or key in the query of a URL, and in spark_conf a setting that
    Spark itself hides in its logs.
    """
    for name, value in settings.items():
        if not isinstance(value, str):
            continue
        if name == "spark_conf" and (found := next(filter(SPARK_SECRET.search, _keys(value)), None)):
            raise BadInput(
                f"{name} holds the secret setting {mask_secrets(found)}, which would be stored and shown",
                "set it in $SPARK_CONF_DIR/spark-defaults.conf, or use AWS_… variables or a Hadoop credential provider",
            )
        if _USER.search(value):
            raise BadInput(
                f"{name} has a user or password in a URL, which would be stored and shown",
                "remove it from the URL and put it into ~/.netrc",
            )
        if "://" in value and (found := next(_secret_arguments(value), None)):
            raise BadInput(
                f"{name} has a URL with the secret {found}=…, which would be stored and shown",
                "download the file by hand and give the file instead",
            )


def mask_secrets(text: str) -> str:
    """Return a text with `***` for the passwords and signatures in its URLs, and for the secrets of the environment."""
    text = _USER.sub(lambda found: f"{found[1]}:{MASK}@" if found[1] else f"{MASK}@", text)
    if "=" in text:
        text = _QUERY.sub(lambda found: f"{found[1]}={MASK}" if _is_secret(found[1]) else found[0], text)
    pattern = _known_secrets(tuple(os.environ.get(name, "") for name in (*SECRET_VARIABLES, *URL_VARIABLES)))
    return pattern.sub(MASK, text) if pattern else text


def mask_output() -> None:
    """Mask secrets in all that this process prints from now on, as libraries, warnings and tracebacks do too."""
    for stream in (sys.stdout, sys.stderr):
        stream.write = _masking(stream)  # type: ignore[method-assign]


def _masking(stream: TextIO) -> Callable[[str], int]:
    write = stream.write
    return lambda text: write(mask_secrets(text))


def _keys(spark_conf: str) -> list[str]:
    """Return what stands before an = or :, right of other =s too, as in `spark.x.extraJavaOptions=-Dpassword=…`."""
    return re.findall(r"""([^\s=:'"]+)['"]?\s*[=:]""", spark_conf)


def _secret_arguments(url: str) -> Iterator[str]:
    return (name for name, _ in _QUERY.findall(url) if _is_secret(name))


def _is_secret(argument: str) -> bool:
    """Whether an argument in a URL's query is a secret, by its name: X-Amz-Signature, access_token, sig."""
    return any(_SECRET_WORD.fullmatch(word.lower()) for word in _WORDS.findall(unquote(argument)))


@lru_cache(maxsize=8)
def _known_secrets(values: tuple[str, ...]) -> re.Pattern[str] | None:
    """Compile what finds the secrets in these values of SECRET_VARIABLES and URL_VARIABLES, in all of their forms."""
    secrets, users = set(values[: len(SECRET_VARIABLES)]), set()
    for url in values[len(SECRET_VARIABLES) :]:
        for user, password in _passwords(url):
            secrets |= {password, unquote(password), unquote_plus(password)}
            users.add(f"{unquote(user)}:{unquote(password)}")
        secrets |= {unquote(value) for name, value in _QUERY.findall(url) if _is_secret(name)}
    forms = {form for secret in secrets | users if secret for form in _forms(secret)}
    if not forms:
        return None
    patterns = {form: re.escape(form) if len(form) >= SHORT else rf"(?<!\w){re.escape(form)}(?!\w)" for form in forms}
    return re.compile("|".join(patterns[form] for form in sorted(forms, key=lambda form: (-len(form), form))))


def _passwords(url: str) -> Iterator[tuple[str, str]]:
    """Yield the user and password of a URL; the user alone counts as one, as a token in place of it does."""
    if found := _USER.search(url):
        user, colon, password = found[0].removesuffix("@").partition(":")
        yield (user, password) if colon else ("", user)


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, quoted for URLs, JSON, Python and HTML, and inside of a longer text in base64."""
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret), quote(secret, safe=" +")}
    yield from {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], html.escape(secret)} | quoted
    yield from {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), form) for form in quoted}
    data = secret.encode("utf-8", errors="surrogateescape")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(data).decode()
        if len(data) >= SHORT:
            for offset in range(
                3
            ):  # the letters that depend on the secret alone, wherever it begins in the longer text
                letters = encode(bytes(offset) + data).decode()
                yield letters[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]
