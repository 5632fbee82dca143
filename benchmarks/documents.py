"""The kinds of file that a practice keeps: letters, PDFs, pictures.

Owns: what is inside one file. Does not know: where it lies, or how many there are. The letters are real zip, RTF
and text files; PDF and JPEG have the right outside and, inside, noise where the real ones are already compressed.
"""

import io
import zipfile
from xml.sax.saxutils import escape

from benchmarks.prose import Noise, Prose

_DATE = (2024, 1, 2, 3, 4, 6)  # zip members carry a date: a fixed one keeps the files the same at each run
_JPEG_START = bytes.fromhex("ffd8ffe000104a46494600010100004800480000")
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)


def plain_letter(prose: Prose, length: int) -> bytes:
    """A letter as plain text."""
    return _letterhead(prose, length).encode()


def rtf_letter(prose: Prose, length: int) -> bytes:
    """A letter as RTF: text with control words, accents escaped, quite compressible."""
    body = _letterhead(prose, length).replace("\n", "\\par\n\\pard\\plain\\f0\\fs22 ")
    escaped = "".join(sign if ord(sign) < 128 else f"\\'{ord(sign):02x}" for sign in body)
    return b"{\\rtf1\\ansi\\deff0{\\fonttbl{\\f0 Serif;}}\n" + escaped.encode("ascii") + b"}\n"


def docx_letter(prose: Prose, noise: Noise, length: int) -> bytes:
    """A letter as a word-processor file: XML in a zip, and a small picture (a stamp) that does not compress."""
    paragraphs = (f"<w:p><w:r><w:t>{escape(line)}</w:t></w:r></w:p>" for line in _letterhead(prose, length).split("\n"))
    document = f'<w:document xmlns:w="{_W}"><w:body>{"".join(paragraphs)}</w:body></w:document>'
    return _zip(
        ("[Content_Types].xml", _CONTENT_TYPES.encode()),
        ("word/document.xml", document.encode()),
        ("word/media/image1.jpeg", _JPEG_START + noise.take(6_000)),
    )


def odt_letter(prose: Prose, noise: Noise, length: int) -> bytes:
    """The same as an OpenDocument text."""
    paragraphs = (f"<text:p>{escape(line)}</text:p>" for line in _letterhead(prose, length).split("\n"))
    document = f"<office:document-content><office:text>{''.join(paragraphs)}</office:text></office:document-content>"
    return _zip(
        ("mimetype", b"application/vnd.oasis.opendocument.text"),
        ("content.xml", document.encode()),
        ("Thumbnails/thumbnail.png", noise.take(3_000)),
    )


def pdf(prose: Prose, noise: Noise, size_bytes: int) -> bytes:
    """A report: four fifths compressed streams, the rest plain objects and cross-references."""
    parts = [b"%PDF-1.4\n"]
    number, length = 1, 0
    while length < size_bytes:
        stream = noise.take(min(12_000, max(600, size_bytes * 3 // 4)))
        plain = prose.text(len(stream) // 4).encode()
        parts.append(b"%d 0 obj\n<< /Length %d /Filter /FlateDecode >>\nstream\n" % (number, len(stream)))
        parts += [stream, b"\nendstream\nendobj\n", b"%d 0 obj\n(" % (number + 1), plain, b")\nendobj\n"]
        number += 2
        length += len(stream) + len(plain) + 90
    parts.append(
        b"xref\n0 %d\n" % number + b"".join(b"%010d 00000 n \n" % (97 * n) for n in range(number)) + b"%%EOF\n"
    )
    return b"".join(parts)


def jpeg(noise: Noise, size_bytes: int) -> bytes:
    """A picture: does not compress."""
    return _JPEG_START + noise.take(max(0, size_bytes - len(_JPEG_START) - 2)) + b"\xff\xd9"


def _letterhead(prose: Prose, length: int) -> str:
    return f"Cabinet fictif de kinésithérapie\n1 rue Imaginaire\n\nDonnées inventées\n\n{prose.text(length)}\n"


def _zip(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
