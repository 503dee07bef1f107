import json
from pathlib import Path

import pytest

from lore_core.prompts import TextEncoder
from lore_core.records import Pair
from lore_core.training.tokenizer import build_tokenizer, vocabulary

WORDS = (
    "red blue cotton shirt jeans for men size 64gb l4 think market north counts as near acme shop colour material "
    "query item rules < > </ [ ] / ; a b c d e f g"
)


def bert_tokenizer() -> bytes:
    """A WordPiece tokenizer shaped like BERT's: control tokens inside the vocabulary, special tokens in brackets."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[", "]", "sep", "cls", "red", "shirt", "cotton", "##s", ";"]
    words += ["all", "none", "of", "1", "2"]
    added = [
        {
            "id": i,
            "content": word,
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for i, word in enumerate(words[:5])
    ]
    document = {
        "version": "1.0",
        "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": None,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: i for i, word in enumerate(words)},
        },
    }
    return json.dumps(document).encode()


@pytest.fixture(scope="session")
def word_encoder() -> TextEncoder:
    return TextEncoder(build_tokenizer(vocabulary([WORDS])))


@pytest.fixture(scope="session")
def bert_encoder() -> TextEncoder:
    return TextEncoder(bert_tokenizer())


@pytest.fixture
def pair() -> Pair:
    return Pair(
        id="p1",
        query="red shirt for men",
        title="cotton shirt",
        item_id="i1",
        shop_name="acme shop",
        cpv_sku={"colour": "red", "material": "cotton"},
        vqa_result="a red shirt",
        groundtruth="L4",
        subset="general",
    )


@pytest.fixture
def model_folder(tmp_path: Path, word_encoder: TextEncoder) -> Path:
    (tmp_path / "tokenizer.json").write_bytes(build_tokenizer(vocabulary([WORDS])))
    return tmp_path
