"""A motion photo's video: found after a JPEG's picture, and marked in XMP where it is written there again.

It shows the moment before and after, with all that a fill removes: so it is kept only where that is asked for.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

MAX_BOXES = 10_000  # at the top of an MP4; phones write some ten
UNKNOWN = -1  # moment of the picture: a player chooses
WHAT = "motion-photo video"
KEPT = "Its motion-photo video is kept: it still shows the photo as it was."
_SHOWN_AT = re.compile(rb"PresentationTimestampUs\s*(?:=\s*[\"']|>)\s*(-?[0-9]{1,18})")
_MARKS = (
    '<rdf:Description rdf:about="" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"'
    ' xmlns:Container="http://ns.google.com/photos/1.0/container/"'
    ' xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
    ' GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"'
    ' GCamera:MotionPhotoPresentationTimestampUs="{moment}"'
    ' GCamera:MicroVideo="1" GCamera:MicroVideoVersion="1" GCamera:MicroVideoOffset="{length}"'
    ' GCamera:MicroVideoPresentationTimestampUs="{moment}"><Container:Directory><rdf:Seq>'
    '<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/jpeg" Item:Semantic="Primary"'
    ' Item:Length="0" Item:Padding="0"/></rdf:li>'
    '<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="video/mp4" Item:Semantic="MotionPhoto"'
    ' Item:Length="{length}" Item:Padding="0"/></rdf:li>'
    "</rdf:Seq></Container:Directory></rdf:Description>"
)
_PACKET = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


@dataclass(frozen=True)
class Video:
    """What lies behind the picture."""

    data: bytes  # MP4
    moment: int = UNKNOWN  # of the picture in it, microseconds


def video_behind(behind: memoryview, xmp: bytes | None) -> Video | None:
    """The MP4 behind a JPEG's picture, as far as its boxes go; None where there is none."""
    start = bytes(behind).find(b"ftyp") - 4
    if start < 0:
        return None
    at, seen = start, set()
    for _ in range(MAX_BOXES):
        if at + 8 > len(behind):
            break
        size, kind = struct.unpack_from(">I4s", behind, at)
        if size == 1 and at + 16 <= len(behind):
            (size,) = struct.unpack_from(">Q", behind, at + 8)
        size = size or len(behind) - at  # the last may go on to the end
        if size < 8 or at + size > len(behind) or not kind.strip().isalnum():
            break
        seen.add(kind)
        at += size
    if not {b"moov", b"moof"} & seen:
        return None
    said = None if xmp is None else _SHOWN_AT.search(xmp)
    return Video(bytes(behind[start:at]), UNKNOWN if said is None else int(said[1]))


def marked(xmp: bytes | None, video: Video) -> bytes:
    """The XMP packet, or a fresh one, that says where the video lies: at the end of the file."""
    packet = _PACKET if xmp is None or b"</rdf:RDF" not in xmp else xmp
    end = packet.rfind(b"</rdf:RDF")
    marks = _MARKS.format(moment=video.moment, length=len(video.data)).encode()
    return packet[:end] + marks + packet[end:]
