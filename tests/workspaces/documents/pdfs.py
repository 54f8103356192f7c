"""PDFs for tests, written by hand: pages of lines, a table of contents, a password."""

from __future__ import annotations

import io
from collections.abc import Sequence

from pypdf import PdfReader, PdfWriter

LINE_HEIGHT = 16


def pdf(*pages: Sequence[str]) -> bytes:
    """A PDF with these lines on its pages. Source: ISO 32000-1, 7.5."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, lines in enumerate(pages):
        shown = "\n".join(f"({line}) Tj 0 -{LINE_HEIGHT} Td" for line in lines)
        stream = f"BT /F1 12 Tf 72 720 Td\n{shown}\nET"
        page = f"/MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R"
        objects.append(f"<< /Type /Page /Parent 2 0 R {page} >>")
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    return _assembled(objects)


def with_contents(data: bytes, *titles: tuple[str, int]) -> bytes:
    """The PDF with a table of contents: titles with their page, from 0."""
    writer = _writer(data)
    for title, page in titles:
        writer.add_outline_item(title=title, page_number=page)
    return _written(writer)


def with_password(data: bytes, password: str) -> bytes:
    """The PDF, encrypted."""
    writer = _writer(data)
    writer.encrypt(password, algorithm="RC4-128")
    return _written(writer)


def _writer(data: bytes) -> PdfWriter:
    writer = PdfWriter()
    writer.append(PdfReader(io.BytesIO(data)), import_outline=False)
    return writer


def _written(writer: PdfWriter) -> bytes:
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def _assembled(objects: list[str]) -> bytes:
    body = b"%PDF-1.4\n"
    offsets = []
    for number, text in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF"
    return body + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode("latin-1")
