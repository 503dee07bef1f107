"""vLLM's generation routes as label scores need them: completions of token ids, and chat where a prompt has a picture.

No route takes token ids and a picture. A chat request gives the words around the picture as text, which the server's own
tokenizer reads; the model's chat template (CHAT_TEMPLATE) adds nothing but the tokens that stand for the picture.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lore_core.prompts import ModelKit, RenderedPrompt
from lore_core.records.picture import data_url

COMPLETIONS: Final = "/v1/completions"
CHAT: Final = "/v1/chat/completions"
_NEVER: Final = -100
"""The least bias that the API takes."""

CHAT_TEMPLATE_NAME: Final = "chat_template.jinja"
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% else %}<|vision_start|><|image_pad|><|vision_end|>{% endif %}"
    "{% endfor %}{% endfor %}"
)
"""Of a Qwen3-VL model: the parts of a message one after the other, a picture as its placeholder."""


def asked(kit: ModelKit, prompt: RenderedPrompt, *more: RenderedPrompt) -> tuple[str, dict[str, Any]]:
    """Path, and the part of the request that says the prompts: several have no pictures. Raises BadPicture."""
    if prompt.picture is None:
        return COMPLETIONS, {"prompt": listed([one.token_ids for one in (prompt, *more)])}
    before, after = prompt.token_ids[: prompt.picture.after], prompt.token_ids[prompt.picture.after :]
    said = [
        *_text(kit.words(before)),
        {"type": "image_url", "image_url": {"url": data_url(prompt.picture.data)}},
        *_text(kit.words(after)),
    ]
    return CHAT, {"messages": [{"role": "user", "content": said}], "add_generation_prompt": False}


def listed(prompts: Sequence[Sequence[int]]) -> list[Any]:
    """A single prompt's ids as they are, several as a list of lists."""
    return [list(ids) for ids in prompts] if len(prompts) > 1 else list(prompts[0])


def _text(words: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": words}] if words else []


def one_token(path: str, labels: tuple[int, ...]) -> dict[str, Any]:
    """What asks for the log-probabilities of these ids at the next token."""
    wanted = {"logprobs": 0} if path == COMPLETIONS else {"logprobs": True, "top_logprobs": 0}
    return {
        "max_tokens": 1,
        "temperature": 0,
        **wanted,
        "logprob_token_ids": list(labels),
        "return_tokens_as_token_ids": True,
    }


def forbidden(ids: Sequence[int]) -> dict[str, Any]:
    """What keeps these ids out of an answer."""
    return {"logit_bias": {str(id_): _NEVER for id_ in ids}} if ids else {}


def next_logprobs(path: str, choice: Mapping[str, Any]) -> dict[str, float]:
    """Log-probabilities at the first generated token, by `token_id:ID`. KeyError or IndexError where there are none."""
    found = choice["logprobs"]
    if path == COMPLETIONS:
        return dict(found["top_logprobs"][0])
    return {one["token"]: one["logprob"] for one in found["content"][0]["top_logprobs"]}
