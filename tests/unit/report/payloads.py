# ruff: noqa: E501 - payloads are kept whole
"""Hostile texts, and a bundle in which every free text ends in one of them."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from tests.unit.report.sample import MemoryBundle, Ticker, sample

from aiconform.evidence.documents import Plan, Verdicts
from aiconform.evidence.records import Record

XSS = [
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>", "</style><script>alert(1)</script>", "</title><script>alert(1)</script>",
    "</pre><script>alert(1)</script>", "</textarea><script>alert(1)</script>", "--><script>alert(1)</script>", "]]><script>alert(1)</script>",
    '"><script>alert(1)</script>', "'><script>alert(1)</script>", '" onmouseover="alert(1)', "' onmouseover='alert(1)", '" autofocus onfocus=alert(1) x="',
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "java\nscript:alert(1)", "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)", '<a href="javascript:alert(1)">x</a>', '<a href="data:text/html;base64,PHNjcmlwdD4=">x</a>',
    "<iframe src=javascript:alert(1)></iframe>", "<object data=javascript:alert(1)>", "<embed src=javascript:alert(1)>", "<base href=//evil.example/>",
    '<meta http-equiv=refresh content="0;url=//evil.example">', "<link rel=stylesheet href=//evil.example/x.css>", "<style>@import'//evil.example'</style>",
    "<form action=//evil.example><button>x</button></form>", "<input autofocus onfocus=alert(1)>", "<body onload=alert(1)>", "<video><source onerror=alert(1)></video>",
    "<audio src=x onerror=alert(1)>", "<details open ontoggle=alert(1)>", "<marquee onstart=alert(1)>", "<math><mi xlink:href=javascript:alert(1)>x</mi></math>",
    "<template><script>alert(1)</script></template>", "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>", "<xss style=animation-name:x onanimationstart=alert(1)>",
    "<img src=//evil.example/p.png>", "<img srcset='//evil.example/p.png 1x'>", "<image href=//evil.example/p.svg>", "<use href=//evil.example/p.svg#x>",
    "<animate attributeName=href values=javascript:alert(1)>", "<foreignObject><script>alert(1)</script></foreignObject>", "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;", "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e", "{{ 7 * 7 }}", "{% import os %}", "{{ config.__class__ }}",
    "<% alert(1) %>", "${alert(1)}", "#{7*7}", "<!--<img src=--><img src=x onerror=alert(1)//>", "<![CDATA[<script>alert(1)</script>]]>", "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "\u00bcscript\u00bealert(1)\u00bc/script\u00be", "+ADw-script+AD4-alert(1)+ADw-/script+AD4-", "<a\x0bhref=javascript:alert(1)>", "<\x00script>alert(1)</script>",
]  # fmt: skip

BREAKOUTS = [before + payload for before in ('"', "'", "-->", "]]>", "`") for payload in XSS]
"""The same once more, each behind what could end the place it stands in."""

TERMINAL = [
    "\x1b[31mred\x1b[0m", "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "\x1b[?1049h", "\x1bc", "\x1b[6n",
    "\x1b]52;c;ZXZpbA==\x07", "\x9b31m", "\x90q\x9c", "\x07bell", "\x08\x08\x08over", "pass\rFAIL", "\x0c", "\x0b", "\x7f", "\x00nul", "\x1b[8mhidden",
    "\u202egnp.exe", "\u202dabc\u202c", "\u2066abc\u2069", "\u2067abc", "\u200e\u200f", "zero\u200bwidth", "\u2060\ufeff", "\u061c", "\u2028line\u2029para",
    "\U000e0041\U000e0042", "\ufe0f\ufe00", "\u00adsoft", "\u3164\uffa0", "\ufff9x\ufffa\ufffb", "\x85nel", "\u180e",
]  # fmt: skip

MARKDOWN = [
    "```\nout of the fence", "````\n```\n", "~~~\nout", "`code` ``more`` ```most```", "`", "``", "\\`", "|a|b|", "a|b\n|-|-|", "a\\|b", "\\", "\\\\|",
    "# heading", "## Status: passed", "- item", "* item", "+ item", "1. item", "2) item", "> quote", "---", "===", "***", "___", "\tindented", "    indented",
    "[link](http://evil.example)", "[link](javascript:alert(1))", "![image](http://evil.example/p.png)", "[ref]\n\n[ref]: http://evil.example", "<http://evil.example>",
    "http://evil.example/", "https://evil.example/?a=b", "www.evil.example", "a@evil.example", "<a@evil.example>", "mailto:a@evil.example", "@octocat", "@org/team",
    "#123", "GH-123", "owner/repo#7", "0123456789abcdef0123456789abcdef01234567", ":tada:", "$x^2$", "$$x$$", "[^1]", "[^1]: note", "- [ ] task", "~~gone~~", "**bold** __bold__ *it* _it_",
    "<b>bold</b>", "<!-- gone -->", "<?php ?>", "&copy;", "&#x202e;", "xmpp:a@evil.example", "ftp://evil.example", "HTTPS://EVIL.EXAMPLE", "==mark==", "[x](<javascript:alert(1)>)", "]( http://evil.example )",
]  # fmt: skip

ALL = XSS + TERMINAL + MARKDOWN

_FIXED_KEYS = {
    "format", "run", "level", "kind", "outcome", "type", "prev", "body", "sha256", "log_head", "plan_sha256",
    "verdicts_sha256", "lane", "apiVersion", "method", "allocation",
}  # fmt: skip


class Lace:
    """Puts a payload behind every free text of a bundle, in step everywhere."""

    def __init__(self, payload: str) -> None:
        self.payload = payload
        self.digests: dict[str, str] = {}

    def lane(self, lane: str) -> str:
        head, sep, rest = lane.partition("/")
        if head in {"cleanup", "verdict"}:
            return head + sep + rest + self.payload
        if sep:
            return f"{head}{self.payload}/{rest}{self.payload}"
        return lane + self.payload if head not in {"run"} else lane

    def value(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {self.key(name, key): self.value(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, key) for item in value]
        if not isinstance(value, str):
            return value
        if key == "lane":
            return self.lane(value)
        if key == "body":
            return self.digests[value]
        if key in _FIXED_KEYS or not value:
            return value
        return value + self.payload

    def key(self, name: str, inside: str) -> str:
        return name + self.payload if inside in {"figures", "images"} else name

    def blob(self, data: bytes) -> bytes:
        tail = self.payload.encode("utf-8", "surrogatepass")
        try:
            parsed = json.loads(data)
        except ValueError:
            return data + tail
        return json.dumps(self.table(parsed)).encode()

    def table(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: self.table(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.table(item, key) for item in value]
        return value + self.payload if isinstance(value, str) and key not in _FIXED_KEYS else value


@cache
def _clean() -> MemoryBundle:
    return sample()


def laced(payload: str) -> MemoryBundle:
    """The made-up run with the payload behind every free text: documents, records and bodies."""
    clean, lace = _clean(), Lace(payload)
    bundle = MemoryBundle(Ticker(), clean.plan)
    for digest, data in clean.blobs.items():
        hostile = lace.blob(data)
        lace.digests[digest] = hashlib.sha256(hostile).hexdigest()
        bundle.blobs[lace.digests[digest]] = hostile
    bundle.plan = Plan.model_validate(lace.value(clean.plan.model_dump(mode="json")))
    bundle.verdicts = Verdicts.model_validate(lace.value(clean.verdicts.model_dump(mode="json")))
    bundle.records = [
        Record.model_validate(
            {**record.model_dump(), "lane": lace.lane(record.lane), "wall": record.wall + payload, "data": lace.value(record.data)}
        )
        for record in clean.records
    ]  # fmt: skip
    return bundle
