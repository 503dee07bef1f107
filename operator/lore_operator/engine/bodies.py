"""Bodies of answers, bounded: whoever answers cannot fill the operator's memory."""

import aiohttp


async def read_at_most(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The whole body; ValueError where it has more than `most` bytes."""
    parts: list[bytes] = []
    async for part in answer.content.iter_any():
        parts.append(part)
        if sum(map(len, parts)) > most:
            raise ValueError(f"the answer has more than {most} bytes")
    return b"".join(parts)
