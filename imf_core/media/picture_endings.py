"""Endings of picture files in lower case, of readable and unreadable formats.

This module does not import Pillow, so that `download` recognises pictures by their names fast.
`image_formats` decides by the content.
"""

READ_ENDINGS = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".gif", ".bmp", ".webp", ".avif"}
    | {".tif", ".tiff", ".ico", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".qoi"}
)
"""Endings of the formats in `image_formats.RASTER_FORMATS`."""

UNREAD_ENDINGS = frozenset(
    {".heic", ".heif", ".svg", ".svgz", ".eps", ".wmf", ".emf", ".tga", ".jxl", ".djvu"}
)
"""Endings of unreadable formats, which have their own status in the stage `images`."""

PICTURE_ENDINGS = READ_ENDINGS | UNREAD_ENDINGS
