"""Adds the new entity of a request to a trained model.

A request names no file of this machine: pictures come as bytes, other inputs as words. Its facts
name one new entity, so that a typing error makes no other one.
"""

import base64
import tempfile
from collections.abc import Mapping
from pathlib import Path

from imf_core.base.errors import QuestionError
from imf_core.base.modality import find_modalities
from imf_core.inference.completer import Completer
from imf_core.inference.unseen_entity import UnseenEntity
from imf_core.serve.catalogue import Catalogue
from imf_core.serve.schemas import MAX_PICTURE_BYTES, NewEntity


def add_new(completer: Completer, catalogue: Catalogue, new: NewEntity) -> Completer:
    """Returns a completer with a new entity and its facts, without training.

    Args:
        completer: The model.
        catalogue: Names of its graph.
        new: The entity.

    Raises:
        UnknownNameError: If a fact names another entity, or a relation, that the graph lacks.
        QuestionError: If the entity is refused; see `Completer.with_unseen_entities`.
    """
    _require_one_entity(catalogue, new)
    _require_words(new.inputs)
    has_input = bool(new.description or new.picture or new.inputs)
    if not has_input and not new.facts:
        raise QuestionError(
            "nothing is known of the new entity; give a description, a picture or facts"
        )
    for _, relation, _ in new.facts:
        catalogue.find_relation(relation)
    with tempfile.TemporaryDirectory() as folder:
        image = None
        if new.picture:
            image = Path(folder) / "picture"
            image.write_bytes(_decode(new.picture))
        entity = UnseenEntity(new.name, new.description, image, other_inputs=dict(new.inputs))
        try:
            return completer.with_unseen_entities([entity] if has_input else [], list(new.facts))
        except QuestionError as error:
            if image is None:
                raise
            raise QuestionError(str(error).replace(str(image), "the picture")) from error


def _require_one_entity(catalogue: Catalogue, new: NewEntity) -> None:
    """Refuses unknown names beside that of the new entity, which may come from its facts alone."""
    ends = dict.fromkeys(end for head, _, tail in new.facts for end in (head, tail))
    unknown = [end for end in ends if not catalogue.is_entity(end)]
    name = new.name or next(iter(unknown), "")
    for end in unknown:
        if end != name:
            catalogue.find_entity(end)  # raises, with the nearest names


def _require_words(inputs: Mapping[str, str]) -> None:
    """Refuses inputs that an encoder would open as files, and those with a field of their own."""
    words = [name for name, each in find_modalities().items() if each.takes_words]
    allowed = [name for name in words if name != "text"]
    for name in inputs:
        if name not in allowed:
            raise QuestionError(
                f"inputs has the modality {name!r}, it must be one of {', '.join(allowed)}; give a "
                "text as `description` and an image as `picture`"
            )


def _decode(picture: str) -> bytes:
    """Decodes base64.

    Raises:
        QuestionError: If it is none, or longer than `MAX_PICTURE_BYTES`.
    """
    try:
        content = base64.b64decode(picture, validate=True)
    except ValueError as error:  # also of characters beyond ASCII
        raise QuestionError(
            f"the picture is no base64 ({error}); encode the file's bytes"
        ) from None
    if len(content) > MAX_PICTURE_BYTES:
        raise QuestionError(
            f"the picture has {len(content):,} bytes, at most {MAX_PICTURE_BYTES:,}; make it "
            "smaller"
        )
    return content
