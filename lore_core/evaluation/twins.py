"""Records that stand in a benchmark twice: counted once more, a pair would weigh double in every score."""

from hashlib import blake2b

from lore_core.records import Pair

_BYTES = 8


class Twins:
    """Tells whether a pair's record, its id and label aside, was seen before; eight bytes a pair are kept."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def again(self, pair: Pair) -> bool:
        """Whether this is the second time; pairs of other subsets or markets are others."""
        shown = (pair.query, pair.title, pair.shop_name, pair.vqa_result, pair.rule_list, pair.image_base64)
        parts = (
            pair.subset,
            pair.market,
            pair.item_id,
            *shown,
            *(text for one in pair.cpv_sku.items() for text in one),
        )
        # Lengths first, so that no text can pass for two.
        head = ",".join(str(len(part)) for part in parts)
        content = "".join((head, ";", *parts)).encode("utf-8", "surrogatepass")
        key = int.from_bytes(blake2b(content, digest_size=_BYTES).digest(), "big")
        found = key in self._seen
        self._seen.add(key)
        return found
