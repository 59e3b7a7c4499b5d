"""The OpenAPI document as one readable page: no script, nothing from elsewhere."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
h2{margin:2.5rem 0 .5rem;border-bottom:1px solid var(--line)}
h3{margin:1.5rem 0 .25rem;overflow-wrap:anywhere}
code,pre{font:14px/1.4 ui-monospace,monospace}
pre{background:var(--soft);padding:.75rem;overflow-x:auto}
table{border-collapse:collapse;width:100%;display:block;overflow-x:auto}
th,td{text-align:left;vertical-align:top}
th,td{padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line)}
.verb{display:inline-block;min-width:4.5rem}
nav li{overflow-wrap:anywhere}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

Json = Mapping[str, Any]


def render(document: Json) -> str:
    """The whole page as HTML."""
    info = document["info"]
    calls = list(_calls(document))
    schemas = sorted(document["components"]["schemas"].items())
    title = escape(f"{info['title']} {info['version']}")
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>",
        *(f"<p>{_prose(part)}</p>" for part in info["description"].strip().split("\n\n")),
        "<p>The same for machines: <a href=/openapi.json>openapi.json</a>.</p><nav><ul>",
        *(
            f"<li><a href='#{_anchor(verb, path)}'><code><span class=verb>{verb}</span> "
            f"{escape(path)}</code></a> {escape(call['summary'])}"
            for verb, path, call in calls
        ),
        "</ul></nav><h2>Calls</h2>",
        *(_call(verb, path, call) for verb, path, call in calls),
        "<h2>Shapes</h2>",
        *(_shape(name, schema) for name, schema in schemas),
        "</html>",
    ]
    return "\n".join(parts)


def _calls(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for verb, call in item.items():
            yield verb.upper(), path, call


def _anchor(verb: str, path: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in f"{verb}{path}").lower()


def _call(verb: str, path: str, call: Json) -> str:
    rows = [
        (
            f"<code>{escape(p['name'])}</code> in {p['in']}",
            _type(p["schema"]),
            p.get("description", ""),
        )
        for p in call.get("parameters", ())
    ]
    rows += [
        (f"body, <code>{escape(kind)}</code>", _type(content["schema"]), "")
        for kind, content in call.get("requestBody", {}).get("content", {}).items()
    ]
    rows += [
        (
            f"answer {code}",
            ", ".join(_type(content["schema"]) for content in answer.get("content", {}).values()),
            answer["description"],
        )
        for code, answer in call["responses"].items()
    ]
    body = "".join(f"<tr><td>{a}<td>{b}<td>{_prose(c)}" for a, b, c in rows)
    return (
        f"<h3 id='{_anchor(verb, path)}'><code>{verb} {escape(path)}</code></h3>"
        f"<p>{escape(call['summary'])}. {_prose(call.get('description', ''))}</p>"
        f"<table>{body}</table>"
    )


def _shape(name: str, schema: Json) -> str:
    head = f"<h3 id='shape-{escape(name)}'><code>{escape(name)}</code></h3>"
    text = f"<p>{_prose(schema.get('description', ''))}</p>"
    required = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{' (required)' if field in required else ''}"
        f"<td>{_type(part)}<td>{_prose(part.get('description', ''))}"
        for field, part in schema.get("properties", {}).items()
    )
    return head + text + (f"<table>{rows}</table>" if rows else f"<pre>{_type(schema)}</pre>")


_BOUNDS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
)


def _type(schema: Json) -> str:
    """A schema in a few words, as HTML."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#shape-{name}'>{name}</a>"
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " | ".join(f"<code>{escape(json.dumps(value))}</code>" for value in values)
    if "anyOf" in schema:
        return " | ".join(_type(part) for part in schema["anyOf"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        kind = f"list of {_type(schema.get('items', {}))}"
    elif kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        kind = f"object of {_type(schema['additionalProperties'])}"
    bounds = [f"{name} {schema[name]}" for name in _BOUNDS if name in schema]
    if "default" in schema and schema["default"] is not None:
        bounds.append(f"default {json.dumps(schema['default'])}")
    return kind + (f" <small>({escape(', '.join(bounds))})</small>" if bounds else "")


def _prose(text: str) -> str:
    """Plain text with `code` in backquotes."""
    parts = escape(text, quote=False).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))
