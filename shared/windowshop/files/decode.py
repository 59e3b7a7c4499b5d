"""Which encoding a text is written in, found by reading all of it once.

The order of the tries is what got every sample right that statistical detectors got wrong: a
mapping's word, else a byte-order mark, else UTF-8, else GB18030 if nine in ten of the high bytes
form GB2312 pairs, else CP1252.
"""

import codecs
import io
import re

from windowshop.errors import InvalidInput
from windowshop.files.unpack import Member

CHUNK = 1 << 16
EVIDENCE = 1 << 20  # bytes of lines with high bytes that are weighed where a text is not UTF-8
SHARE = 0.9
MARK = "\udcff"  # stands where bytes could not be decoded; no decoder makes it
ERRORS = "windowshop.mark"
codecs.register_error(
    ERRORS, lambda error: (MARK, error.end) if isinstance(error, UnicodeDecodeError) else ("?", 0)
)

_MARKS = (  # UTF-32's begins like UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ASCII = bytes(range(128))
_PAIR = re.compile(rb"[\xa1-\xf7][\xa1-\xfe]")


def encoding_of(member: Member, given: str | None) -> str:
    """The encoding of all of `member`, which is read once from end to end.

    Raises InvalidInput where it is empty, is no text, or breaks off (naming the line).
    """
    lines, blank, utf8 = 0, True, True
    decoder = codecs.getincrementaldecoder("utf-8")()
    evidence = bytearray()
    named = given
    with member.open() as stream, io.BufferedReader(stream, CHUNK) as source:
        first = True
        while True:
            try:
                chunk = source.read1(CHUNK)
                if chunk and not chunk.isascii():
                    chunk += source.readline(CHUNK)  # no character is cut: weighed are whole lines
            except InvalidInput as error:
                raise type(error)(
                    f"{error.detail} (after line {lines:,}; nothing was taken)"
                ) from None
            if not chunk:
                break
            if first:
                first = False
                named = given or _marked(chunk)
                _refuse_binary(chunk, named, member.name)
            lines += chunk.count(b"\n")
            blank = blank and not chunk.strip(b" \t\r\n\x00\xef\xbb\xbf")
            if named is None and not chunk.isascii():
                utf8 = utf8 and _decodes(decoder, chunk)
                if len(evidence) < EVIDENCE:
                    evidence += b"\n".join(x for x in chunk.split(b"\n") if not x.isascii())[
                        :EVIDENCE
                    ]
            elif named is None and utf8:
                utf8 = _decodes(decoder, chunk)
    if blank:
        raise InvalidInput(f"{member.name} is empty")
    if named is not None:
        return named
    return "utf-8" if utf8 and _decodes(decoder, b"", True) else weighed(bytes(evidence))


def weighed(evidence: bytes) -> str:
    """The likeliest encoding of text that is not all UTF-8: a few damaged bytes do not decide."""
    high = len(evidence.translate(None, _ASCII))
    spoilt = evidence.decode("utf-8", ERRORS).count(MARK)
    if high and 1 - spoilt / high >= SHARE:
        return "utf-8"
    paired = 2 * sum(1 for _ in _PAIR.finditer(evidence))
    return "gb18030" if high and paired / high >= SHARE else "cp1252"


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _marked(chunk: bytes) -> str | None:
    return next((name for mark, name in _MARKS if chunk.startswith(mark)), None)


def _refuse_binary(chunk: bytes, named: str | None, name: str) -> None:
    wide = named is not None and codecs.lookup(named).name.startswith(("utf-16", "utf-32"))
    if not wide and b"\x00" in chunk[:8192]:
        raise InvalidInput(
            f"{name} is no text (it holds zero bytes): CSV, TSV, JSON, JSON Lines and Parquet are "
            "read. UTF-16 without a byte-order mark needs [options] encoding in a mapping"
        )
