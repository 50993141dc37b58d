"""XML and ZIP archives, which are read within limits."""

import io
import re
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import PurePosixPath

from nmt.core.errors import UserError, extra, shortened
from nmt.extensions.documents.elements import Element
from nmt.extensions.documents.formats import damaged

MAX_UNPACKED = 50 << 20
"""Largest size of the contents of an archive, in bytes."""
MAX_MEMBERS = 2_000
"""Largest number of files in an archive."""


def parse_xml(data: bytes, may_have_type: bool = False, name: str = "The file") -> Element:
    """Parses an XML document without a document type.

    Args:
        may_have_type: it may have a document type without entities, as XHTML has. Nothing is loaded for it.
        name: of the file, for messages.

    Raises:
        UserError: it is not well-formed, or has a document type, which could define entities; or lxml is missing.
    """
    with extra("documents"):
        from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_blank_text=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.LxmlError, ValueError) as error:
        raise damaged("well-formed XML", getattr(error, "msg", error), name) from None
    info = root.getroottree().docinfo
    is_safe = may_have_type and info.internalDTD is not None and not any(info.internalDTD.iterentities())
    if info.doctype and not is_safe:
        raise UserError(f"{name} has a document type, which could load other files.", "Remove the DOCTYPE.")
    return root


def write_xml(root: Element) -> bytes:
    """Inverse of :func:`parse_xml`."""
    from lxml import etree

    return bytes(etree.tostring(root.getroottree(), xml_declaration=True, encoding="UTF-8"))


def local_name(element: Element) -> str:
    """Returns the name of an element without its namespace; empty for a comment."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


class Archive:
    """A ZIP archive whose members are parts of a document.

    Args:
        what: the kind of file, for messages.
        limit: the most bytes of all contents; None for :data:`MAX_UNPACKED`.

    Attributes:
        num_bytes: of all contents.
        parts: the contents of the members by their names.
        trees: the parts that were parsed, which are written in the place of what they were.

    Raises:
        UserError: it is damaged or encrypted, has too many or too large members, or paths out of its folder, or two
            members of the same name.
    """

    def __init__(self, data: bytes, what: str, limit: int | None = None) -> None:
        self._what, self._members, self.num_bytes = what, dict[str, zipfile.ZipInfo](), 0
        self.parts, self.trees = dict[str, bytes](), dict[str, Element]()
        self._limit = limit = MAX_UNPACKED if limit is None else limit
        locked = UserError("The file has a password, or is of an Office before 2007.", "Save it again without one.")
        if data.startswith(b"\xd0\xcf\x11\xe0"):
            raise locked
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as packed:
                members = packed.infolist()
                if len(members) > MAX_MEMBERS:
                    raise UserError(f"The file contains {len(members):,} files.", f"At most {MAX_MEMBERS:,} are read.")
                name, count = Counter(member.filename for member in members).most_common(1)[0] if members else ("", 0)
                if count > 1:
                    raise UserError(f"The file contains {shortened(name)!r} {count:,} times.", "Save it again.")
                for member in members:
                    path = PurePosixPath(member.filename.replace("\\", "/"))
                    if path.is_absolute() or ".." in path.parts:
                        raise UserError(f"The file contains the path {shortened(member.filename)!r}.", "Save it again.")
                    with packed.open(member) as file:
                        content = file.read(limit - self.num_bytes + 1)
                    self._members[member.filename], self.parts[member.filename] = member, content
                    self.num_bytes += len(content)
                    if member.filename == "META-INF/manifest.xml" and b":encryption-data" in content:
                        raise locked
                    if self.num_bytes > limit:
                        raise UserError(f"The file has more than {limit:,} bytes when unpacked.", "Split the file.")
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as e:
            raise damaged(what, e) from None

    def tree(self, name: str) -> Element:
        """Returns the root of a part."""
        if name not in self.trees:
            self.trees[name] = parse_xml(self.parts[name])
        return self.trees[name]

    def written(self, without: re.Pattern[bytes] | None = None) -> bytes:
        """Returns the file with the parts as they are now, from which ``without`` is taken out."""
        written = io.BytesIO()
        try:
            with zipfile.ZipFile(written, "w") as result:
                for name, content in self.parts.items():
                    content = write_xml(self.trees[name]) if name in self.trees else content
                    content = content if without is None else without.sub(b"", content)
                    member = self._members.get(name)
                    compression = zipfile.ZIP_DEFLATED if member is None else member.compress_type
                    result.writestr(member or zipfile.ZipInfo(name), content, compression)
        except (NotImplementedError, RuntimeError, OSError, ValueError, struct.error) as error:
            raise damaged(self._what, error) from None
        return written.getvalue()
