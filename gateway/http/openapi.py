"""The OpenAPI document, made of the protos' own descriptors, so that it cannot say something else than they do.

What a field means stands in the comments of `proto/khulasa/v1/`; the document has names, types and limits.
"""

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.http.calls import MAX_TIMEOUT_S, TIMEOUT_HEADER
from gateway.http.libretranslate import MAX_TEXTS
from gateway.http.problems import MEDIA_TYPE
from gateway.jobs.service import MAX_PAGE_SIZE
from gateway.validation import BUDGET_RANGES, MAX_ARTICLE_BYTES, MAX_TITLE_CHARS
from khulasa.channel import PRIORITY
from khulasa.v1 import gateway_pb2, jobs_pb2
from services.harness.errors import Reason
from services.harness.priority import INTERACTIVE, PRIORITIES
from services.harness.terms import MAX_TERM_CHARS, MAX_TERMS

Schema = dict[str, Any]

DURATION = "google.protobuf.Duration"


def document() -> Schema:
    """Return the document."""
    schemas: Schema = {"Problem": _PROBLEM, "Doubts": _DOUBTS, "Detected": _DETECTED}
    for message in (gateway_pb2.ProcessArticleRequest, gateway_pb2.StreamArticleRequest):
        _add_request(message.DESCRIPTOR, schemas)
    _add_answer(gateway_pb2.ProcessArticleResponse.DESCRIPTOR, schemas)
    _add_request(jobs_pb2.JobHeader.DESCRIPTOR, schemas)
    _add_request(jobs_pb2.JobArticle.DESCRIPTOR, schemas)
    schemas["CreateJobRequest"] = schemas["JobHeader"] | {
        "properties": schemas["JobHeader"]["properties"]
        | {"articles": {"type": "array", "minItems": 1, "items": _ref("JobArticle")}},
        "required": ["requestId", "articles"],
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Khulasa",
            "version": "v1",
            "description": "Arabic articles in, English translations with reasons for doubt and summaries out. Field "
            "names, meanings and limits are those of the protos khulasa/v1; offsets are Unicode code points.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/articles": {
                "post": _call(
                    "processArticle",
                    "Translate and summarize one article.",
                    _ref("ProcessArticleRequest"),
                    {"200": _answer("The article in English, and its summary.", _ref("ProcessArticleResponse"))},
                )
            },
            "/v1/articles:stream": {
                "post": _call(
                    "streamArticle",
                    "The same as server-sent events, each part as soon as it is done.",
                    _ref("StreamArticleRequest"),
                    {
                        "200": {
                            "description": "Events `extracted` (HTML), `title`, `paragraph`…, `summary`, `finished`, "
                            "each with the message of that name in StreamArticleResponse; or at last `error` with a "
                            "Problem. A stream without `finished` or `error` was cut off.",
                            "content": {"text/event-stream": {"schema": _EVENT}},
                        }
                    },
                )
            },
            **_job_paths(),
            "/translate": {"post": _libre("translate", "LibreTranslate: translate texts.", _TRANSLATE, _TRANSLATED)},
            "/detect": {
                "post": _libre(
                    "detect",
                    "LibreTranslate: tell the language of a text.",
                    {"type": "object", "required": ["q"], "properties": {"q": _TEXTS}},
                    {"type": "array", "items": _ref("Detected")},
                )
            },
            "/languages": {"get": _look("languages", "LibreTranslate: the languages there are.", {"type": "array"})},
            "/frontend/settings": {
                "get": _look("frontendSettings", "LibreTranslate: what front ends ask.", {"type": "object"})
            },
            "/healthz": {"get": _look("healthz", "The process runs.", {"type": "object"})},
            "/readyz": {
                "get": _look("readyz", "An article could be done now.", {"type": "object"})
                | {
                    "responses": {
                        "200": _answer("Ready.", {"type": "object"}),
                        "503": _answer("Starting, or stopping.", {"type": "object"}),
                    }
                }
            },
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Where the operator asks for one. LibreTranslate's clients send it as `api_key`.",
                }
            },
        },
        "security": [{}, {"token": []}],
    }


def _job_paths() -> Schema:
    operation: Schema = {"type": "object", "required": ["name", "done"]}
    job: Schema = {
        "name": "job",
        "in": "path",
        "required": True,
        "description": "What follows `operations/` in the operation's name.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    }
    pages: list[Schema] = [
        {"name": "pageSize", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": MAX_PAGE_SIZE}},
        {"name": "pageToken", "in": "query", "schema": {"type": "string"}},
    ]
    problems = _problems()

    def method(name: str, summary: str, status: str, answer: Schema | None, parameters: list[Schema]) -> Schema:
        done: Schema = _answer("Done.", answer) if answer else {"description": "Done."}
        return {
            "operationId": name,
            "summary": summary,
            "parameters": parameters,
            "responses": {status: done} | problems,
        }

    create = method("createJob", "Begin a job.", "201", operation, [])
    create["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref("CreateJobRequest")}}}
    listed: Schema = {"type": "object", "required": ["operations", "nextPageToken"]}
    results: Schema = {"type": "object", "required": ["results", "nextPageToken"]}
    return {
        "/v1/jobs": {"post": create, "get": method("listJobs", "Your jobs, newest first.", "200", listed, pages)},
        "/v1/jobs/{job}": {
            "get": method("getJob", "How far a job is.", "200", operation, [job]),
            "delete": method("deleteJob", "Remove a job that has ended.", "204", None, [job]),
        },
        "/v1/jobs/{job}:cancel": {"post": method("cancelJob", "Stop a job.", "200", operation, [job])},
        "/v1/jobs/{job}/results": {
            "get": method("listJobResults", "The results that there are.", "200", results, [job, *pages])
        },
    }


def _problems() -> Schema:
    return {
        code: {"description": description, "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}}
        for code, description in _PROBLEMS.items()
    }


def _call(name: str, summary: str, request: Schema, responses: Schema) -> Schema:
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [
            {
                "name": TIMEOUT_HEADER,
                "in": "header",
                "description": "Seconds that the answer may take; the server's own limit is the default.",
                "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TIMEOUT_S},
            },
            {
                "name": PRIORITY.title(),
                "in": "header",
                "description": "With job, the work is done behind what somebody waits for.",
                "schema": {"enum": list(PRIORITIES), "default": INTERACTIVE},
            },
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": responses | _problems(),
    }


def _libre(name: str, summary: str, request: Schema, answer: Schema) -> Schema:
    error: Schema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    return {
        "operationId": name,
        "summary": summary,
        "description": "The fields may also come as a form.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {"200": _answer("Done.", answer)}
        | {code: _answer(description, error) for code, description in _PROBLEMS.items() if code not in ("403", "421")}
        | {"403": {"description": _PROBLEMS["403"], "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}}},
    }


def _look(name: str, summary: str, answer: Schema) -> Schema:
    return {"operationId": name, "summary": summary, "responses": {"200": _answer(summary, answer)}, "security": []}


def _answer(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _add_request(message: Descriptor, schemas: Schema) -> None:
    schema: Schema = {
        "type": "object",
        "properties": {field.json_name: _field(field) | _LIMITS.get(field.full_name, {}) for field in message.fields},
        "additionalProperties": False,
    }
    schemas[message.name] = schema | _SHAPES.get(message.name, {})
    for field in message.fields:
        if field.message_type and field.message_type.name not in schemas:
            _add_request(field.message_type, schemas)


def _add_answer(message: Descriptor, schemas: Schema) -> None:
    schemas[message.name] = {
        "type": "object",
        "properties": {field.json_name: _field(field) for field in message.fields},
        "required": [field.json_name for field in message.fields if not field.has_presence],
    }
    for field in message.fields:
        inner = field.message_type
        if inner and inner.full_name != DURATION and inner.name not in schemas:
            _add_answer(inner, schemas)


def _field(field: FieldDescriptor) -> Schema:
    schema = _value(field)
    return {"type": "array", "items": schema} if field.is_repeated else schema


def _value(field: FieldDescriptor) -> Schema:
    if field.message_type is not None:
        if field.message_type.full_name == DURATION:
            return {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?s$"}
        return _ref(field.message_type.name)
    if field.enum_type is not None:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    return dict(_TYPES[field.cpp_type])


_TYPES: dict[int, Schema] = {
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
}
_CONTENT = {"minLength": 1, "maxLength": MAX_ARTICLE_BYTES, "pattern": "\\S"}
_LIMITS: dict[str, Schema] = {
    "khulasa.v1.Article.title": {"maxLength": MAX_TITLE_CHARS},
    "khulasa.v1.Article.text": _CONTENT,
    "khulasa.v1.Article.html": _CONTENT,
    "khulasa.v1.Glossary.terms": {"maxItems": MAX_TERMS},
    "khulasa.v1.GlossaryTerm.source": {"minLength": 1, "maxLength": MAX_TERM_CHARS},
    "khulasa.v1.GlossaryTerm.target": {"maxLength": MAX_TERM_CHARS},
    **{
        f"khulasa.v1.SummaryBudget.{name}": {"minimum" if low else "exclusiveMinimum": low, "maximum": high}
        for name, (low, high) in BUDGET_RANGES.items()
    },
}
_SHAPES: dict[str, Schema] = {
    "ProcessArticleRequest": {"required": ["article"]},
    "StreamArticleRequest": {"required": ["article"]},
    "Article": {"oneOf": [{"required": ["text"]}, {"required": ["html"]}]},
    "SummaryBudget": {"maxProperties": 1},
    "GlossaryTerm": {"required": ["source"]},
    "JobArticle": {"required": ["id", "article"]},
}
_EVENT: Schema = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["extracted", "title", "paragraph", "summary", "finished", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
_PROBLEM: Schema = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "reason", "metadata"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, the value, the limit, and what to do."},
        "reason": {"type": "string", "enum": [reason.value for reason in Reason]},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        "retryAfterSeconds": {"type": "number"},
    },
}
_PROBLEMS = {
    "400": "The request cannot be read: UNREADABLE_REQUEST, UNKNOWN_OPTION.",
    "401": "Credentials are missing or unknown.",
    "403": "A page of another origin, or not allowed to this caller.",
    "404": "Something that the request names is not there: UNKNOWN_GLOSSARY.",
    "409": "MODEL_CHANGED and the like.",
    "413": "BODY_TOO_LONG.",
    "415": "CONTENT_TYPE_UNSUPPORTED.",
    "421": "UNKNOWN_HOST.",
    "422": "The request was read and is refused; `reason` says why.",
    "429": "Too much at once. Retry-After says when to come back.",
    "500": "INTERNAL: a fault of ours.",
    "503": "Starting, stopping, or a service is away. Retry-After says when to come back.",
    "504": "DEADLINE_EXCEEDED.",
}
_TEXTS: Schema = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_TEXTS}]
}
_TRANSLATE: Schema = {
    "type": "object",
    "required": ["q", "source", "target"],
    "properties": {
        "q": _TEXTS,
        "source": {"type": "string", "enum": ["ar", "auto"]},
        "target": {"type": "string", "enum": ["en"]},
        "format": {"type": "string", "enum": ["text", "html"]},
    },
}
_STRINGS: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_TRANSLATED: Schema = {
    "type": "object",
    "required": ["translatedText", "khulasa"],
    "properties": {
        "translatedText": _STRINGS,
        "detectedLanguage": {"anyOf": [_ref("Detected"), {"type": "array", "items": _ref("Detected")}]},
        "khulasa": {"anyOf": [_ref("Doubts"), {"type": "array", "items": _ref("Doubts")}]},
    },
}
_DETECTED: Schema = {
    "type": "object",
    "required": ["confidence", "language"],
    "properties": {"confidence": {"type": "number", "minimum": 0, "maximum": 100}, "language": {"type": "string"}},
}
_DOUBTS: Schema = {
    "type": "object",
    "required": ["verdict", "sentences", "flaggedSentences"],
    "properties": {
        "verdict": {"type": "string"},
        "sentences": {"type": "integer"},
        "flaggedSentences": {"type": "array", "items": {"type": "object"}},
    },
}
