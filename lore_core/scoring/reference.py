"""Label scores from transformers in this process: for tests, for tuning, and for a teacher inside a training stage."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt
from lore_core.scoring.pixels import PictureReader, Row
from lore_core.scoring.scores import LabelScore, LabelScores, label_softmax

_BATCH: Final = 64


class TransformersScorer:
    """Scores rendered prompts with a model artifact's weights in float32; the same route as `VllmClient`, step by step."""

    def __init__(self, folder: Path, *, batch: int = _BATCH) -> None:
        """`folder` is a verified model artifact; `batch` is prompts a forward pass."""
        kit = ModelKit.load(folder)
        self._kit, self._batch, self._reader = kit, batch, PictureReader.of(folder, kit)
        self._model = _loaded(folder, kit).eval()

    @classmethod
    def of(
        cls, kit: ModelKit, model: Any, *, reader: PictureReader | None = None, batch: int = _BATCH
    ) -> "TransformersScorer":
        """Around a model that is already in memory, e.g. the one being trained; without a `reader` it sees no pictures."""
        scorer = cls.__new__(cls)
        scorer._kit, scorer._model, scorer._batch, scorer._reader = kit, model, batch, reader
        return scorer

    def score(self, prompts: Sequence[RenderedPrompt]) -> LabelScores:
        """Scores of n prompts, in their order. Raises BadPicture, and ValueError for a picture without a reader of it."""
        import torch

        if self._reader is None and any(prompt.picture is not None for prompt in prompts):
            raise ValueError("a prompt has a picture, and this scorer no reader; load the model by its folder")
        # Batches of similar length waste little on padding; the order is restored at the end.
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index].token_ids))
        found: dict[int, LabelScore] = {}
        with torch.inference_mode():
            for chunk in _chunks(order, self._batch):
                found.update(zip(chunk, self._score_batch([prompts[index] for index in chunk]), strict=True))
        return LabelScores.of([found[index] for index in range(len(prompts))])

    def _score_batch(self, prompts: list[RenderedPrompt]) -> list[LabelScore]:
        ids: list[Row] = [(prompt.token_ids, prompt.picture) for prompt in prompts]
        if self._kit.contract.layout is PromptLayout.CLASSIFIER:
            return self._classes(self._padded(ids, left=False))
        if self._kit.contract.layout is PromptLayout.TWO_TOWER:
            return self._classes(self._placed(tower_inputs([prompt.towers for prompt in prompts])))
        if self._kit.contract.layout is PromptLayout.LABEL_FIRST:
            return self._labels(ids, [""] * len(ids))
        traces = self._traces(ids)
        positions: list[Row] = [
            (self._kit.label_position(prompt, trace), prompt.picture)
            for prompt, trace in zip(prompts, traces, strict=True)
        ]
        return self._labels(positions, [self._kit.trace_text(trace) for trace in traces])

    def _classes(self, inputs: dict[str, Any]) -> list[LabelScore]:
        logits = self._model(**inputs).logits.double()
        columns = list(self._kit.contract.verbaliser.token_ids)
        scores = logits.log_softmax(-1)[:, columns].tolist()
        return [LabelScore(label_softmax(row)[0]) for row in scores]

    def _labels(self, ids: list[Row], traces: list[str]) -> list[LabelScore]:
        import torch

        inputs = self._padded(ids, left=False)
        last = inputs["attention_mask"].sum(-1) - 1
        logits = self._model(**inputs).logits[torch.arange(len(ids), device=last.device), last].double()
        rows = logits.log_softmax(-1)[:, list(self._kit.contract.verbaliser.token_ids)].tolist()
        return [LabelScore(*label_softmax(row), trace) for row, trace in zip(rows, traces, strict=True)]

    def _traces(self, ids: list[Row]) -> list[tuple[int, ...]]:
        bounds = self._kit.contract.trace
        assert bounds is not None  # the contract holds: layout ThinkFirst has one
        inputs = self._padded(ids, left=True)
        generated = self._model.generate(
            **inputs,
            max_new_tokens=bounds.max_tokens,
            do_sample=False,
            eos_token_id=bounds.stop_token_id,
            pad_token_id=0,
            suppress_tokens=list(self._kit.unsaid) or None,
        )
        return [tuple(row) for row in generated[:, inputs["input_ids"].shape[1] :].tolist()]

    def _padded(self, rows: list[Row], *, left: bool) -> dict[str, Any]:
        return self._placed(model_inputs(rows, self._reader, left=left))

    def _placed(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Inputs where the model is."""
        device = next(self._model.parameters()).device
        return {name: value.to(device) for name, value in inputs.items()}


def _loaded(folder: Path, kit: ModelKit) -> Any:
    """The model of such a contract, in float32."""
    import transformers

    if kit.contract.towers is not None:
        from lore_core.scoring.two_tower import TwoTower

        return TwoTower.load(folder, kit.contract.towers)
    if kit.contract.image_tokens is not None:
        loader = transformers.AutoModelForImageTextToText
    elif kit.contract.layout is PromptLayout.CLASSIFIER:
        loader = transformers.AutoModelForSequenceClassification
    else:
        loader = transformers.AutoModelForCausalLM
    return loader.from_pretrained(str(folder), dtype="float32")


def _chunks(order: list[int], size: int) -> Iterator[list[int]]:
    return (order[start : start + size] for start in range(0, len(order), size))


def model_inputs(rows: Sequence[Row], reader: PictureReader | None, *, left: bool) -> dict[str, Any]:
    """Inputs of a model's forward pass or generation: ids padded on one side, their mask, and what pictures need.

    Raises BadPicture.
    """
    if reader is None:
        return _padded([list(ids) for ids, _ in rows], left=left)
    placed = [reader.placed(row) for row in rows]
    inputs = _padded([ids for ids, _ in placed], left=left)
    return inputs | reader.tensors([shown for _, shown in placed if shown is not None], inputs["input_ids"])


def tower_inputs(towers: Sequence[tuple[Sequence[int], Sequence[int]]]) -> dict[str, Any]:
    """Inputs of a two-tower for n pairs of sequences, the query's and the item's, each side n×its own longest."""
    query, item = (_padded(side, left=False) for side in zip(*towers, strict=True))
    return {
        "query_ids": query["input_ids"],
        "query_mask": query["attention_mask"],
        "item_ids": item["input_ids"],
        "item_mask": item["attention_mask"],
    }


def _padded(ids: Sequence[Sequence[int]], *, left: bool) -> dict[str, Any]:
    """`input_ids` and `attention_mask`, both n×longest, padded with id 0 on one side."""
    import torch

    longest = max(map(len, ids))
    rows = torch.zeros(len(ids), longest, dtype=torch.long)
    mask = torch.zeros_like(rows)
    for index, row in enumerate(ids):
        place = slice(longest - len(row), longest) if left else slice(0, len(row))
        rows[index, place] = torch.tensor(row)
        mask[index, place] = 1
    return {"input_ids": rows, "attention_mask": mask}
