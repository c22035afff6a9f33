"""Reads multipart/form-data bodies: the fields and the file of a request for audio."""

from dataclasses import dataclass, field
from email.message import Message
from email.utils import collapse_rfc2231_value

PARTS_MAX = 64
HEAD_BYTES_MAX = 8 << 10


@dataclass(frozen=True)
class Part:
    name: str
    filename: str | None  # None: a plain field
    data: bytes = field(repr=False)

    def text(self):
        return self.data.decode("utf-8")


def parameter(header, name):
    """A parameter of a header's value, without its quotes; None where there is none."""
    message = Message()
    message["Content-Type"] = header  # `get_param` reads any header of that form
    value = message.get_param(name)
    return None if value is None else collapse_rfc2231_value(value)


def parse_form(content_type, body):
    """The parts in their order. ValueError says what is wrong."""
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        raise ValueError("the body is not multipart/form-data")
    boundary = parameter(content_type, "boundary")
    if not boundary:
        raise ValueError("the Content-Type says no boundary")
    # The first delimiter may begin the body; all others come after a line's end.
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("utf-8", "surrogateescape"),
                                    PARTS_MAX + 2)
    if len(pieces) > PARTS_MAX + 2:
        raise ValueError(f"the form has more than {PARTS_MAX} parts")
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise ValueError("the form is cut off: its last boundary is missing")
    return [part_of(piece) for piece in pieces[1:-1]]


def part_of(piece):
    head, gap, data = piece.partition(b"\r\n\r\n")
    if not gap or not head.startswith(b"\r\n") or len(head) > HEAD_BYTES_MAX:
        raise ValueError("a part of the form has no head")
    for line in head.decode("utf-8", "replace").split("\r\n"):
        key, _, value = line.partition(":")
        if key.strip().lower() == "content-disposition":
            name = parameter(value.strip(), "name")
            if name is None:
                break
            return Part(name, parameter(value.strip(), "filename"), data)
    raise ValueError("a part of the form has no name")
