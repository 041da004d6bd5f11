"""Whole numbers as byte columns: zig-zag varints and two's complement of arbitrary width."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.encoding.assembly import Bytes
from pipelines.encoding.columns import Mask
from pipelines.encoding.level import Level

Integers = npt.NDArray[np.signedinteger[Any]]


def add_varint(level: Level, values: Integers, where: Mask | None) -> None:
    """Avro 1.12, "int, long": zig-zag, then seven bits a byte, least significant first, the eighth bit
    set on all but the last."""
    if where is not None:
        # What hides under a null must not widen the column.
        values = np.where(where, values, values.dtype.type(0))
    bits = values.dtype.itemsize * 8
    zigzag: npt.NDArray[np.unsignedinteger[Any]]
    zigzag = ((values << 1) ^ (values >> (bits - 1))).view(np.uint64 if bits == 64 else np.uint32)
    largest, smallest = int(zigzag.max()), int(zigzag.min())
    if largest < 1 << 16:
        zigzag = zigzag.astype(np.uint16)
    elif largest < 1 << 32:
        zigzag = zigzag.astype(np.uint32)
    width = max(1, -(-largest.bit_length() // 7))
    here = where
    for place in range(width):
        byte = (zigzag >> (7 * place)).astype(np.uint8) if place else zigzag.astype(np.uint8)
        if place + 1 == width:
            level.byte(byte, here)
        elif smallest >> (7 * place + 7):
            # Every value goes on: no mask to compute.
            level.byte(byte | np.uint8(0x80), here)
        else:
            more = zigzag >= 1 << (7 * place + 7)
            level.byte((byte & np.uint8(0x7F)) | (more.view(np.uint8) << np.uint8(7)), here)
            here = more


def add_shortest(level: Level, words: Bytes, where: Mask | None) -> None:
    """Avro `bytes` holding the shortest big-endian two's complement of little-endian `words`, shape
    (places, width): a length (below 64, so one byte), then the bytes."""
    needed = _needed(words)
    sizes = np.ones(len(words), np.uint8)
    for mask in needed[1:]:
        sizes += mask.view(np.uint8)
    level.byte(sizes << np.uint8(1), where)
    for place in range(len(needed) - 1, -1, -1):
        mask = needed[place]
        if where is not None:
            mask = mask & where
        if mask.any():
            level.byte(words[:, place], mask)


def add_sized(level: Level, words: Bytes, size: int, where: Mask | None) -> None:
    """The same as `size` big-endian bytes, at least as many as `words` has: the sign fills the front."""
    width = words.shape[1]
    sign = np.where(words[:, -1] & 0x80, np.uint8(0xFF), np.uint8(0))
    for _ in range(size - width):
        level.byte(sign, where)
    for place in range(width - 1, -1, -1):
        level.byte(words[:, place], where)


def _needed(words: Bytes) -> list[Mask]:
    """For each byte, least significant first, where the shortest form has it."""
    sign = (words[:, -1] & np.uint8(0x80)).astype(np.bool_)
    flip = np.where(sign, np.uint8(0xFF), np.uint8(0))
    width = words.shape[1]
    needed: list[Mask] = [np.ones(len(words), np.bool_)] * width
    above = np.zeros(len(words), np.bool_)
    for place in range(width - 1, 0, -1):
        above = above | (words[:, place] != flip)
        needed[place] = above | ((words[:, place - 1] ^ flip) >= 0x80)
    return needed
