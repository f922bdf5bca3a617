"""Endings of picture files, in small letters: those that are read, and those that are not.

Without Pillow, so that `download` can tell a picture by its name. `image_formats` decides by the
content.
"""

READ_ENDINGS = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".gif", ".bmp", ".webp", ".avif"}
    | {".tif", ".tiff", ".ico", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".qoi"}
)
"""Of the formats in `image_formats.RASTER_FORMATS`."""

UNREAD_ENDINGS = frozenset(
    {".heic", ".heif", ".svg", ".svgz", ".eps", ".wmf", ".emf", ".tga", ".jxl", ".djvu"}
)
"""Of pictures whose format is not read: the stage `images` gives them a status."""

PICTURE_ENDINGS = READ_ENDINGS | UNREAD_ENDINGS
