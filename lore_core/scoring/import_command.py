"""`lore model import`: a model that was made elsewhere, as an artifact with the serving contract that its prompts are made by."""

import argparse
import sys
from pathlib import Path

from lore_core.artifacts import ArtifactRef, publish
from lore_core.artifacts.store import ArtifactError
from lore_core.jobs.config import RuleMode
from lore_core.prompts import CONTRACT_NAME, ContractError, PromptLayout, TextEncoder, build_contract
from lore_core.scoring.wire import CHAT_TEMPLATE, CHAT_TEMPLATE_NAME


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore model import`."""
    parser.add_argument(
        "--model", type=Path, required=True, help="folder in the layout of transformers; it is written to"
    )
    parser.add_argument("--out", required=True, help="where the artifact goes: pvc://…, s3://…, file://…")
    parser.add_argument("--credentials", help="folder with the keys of the store's Secret")
    parser.add_argument("--layout", type=PromptLayout, choices=tuple(PromptLayout), default=PromptLayout.LABEL_FIRST)
    parser.add_argument("--rule-mode", type=RuleMode, choices=tuple(RuleMode), default=RuleMode.NONE)
    parser.add_argument("--max-prompt-tokens", type=int, default=512, help="words of a prompt (default %(default)s)")
    parser.add_argument(
        "--image-tokens",
        type=int,
        help="show a Qwen3-VL model items' pictures: most tokens of one, as its processor's bounds give",
    )


def run(args: argparse.Namespace) -> int:
    """Write contract and, for pictures, chat template into the folder; publish it; print uri and digest."""
    folder: Path = args.model
    try:
        if (folder / CONTRACT_NAME).exists():
            raise ContractError(f"{folder / CONTRACT_NAME}: is there already; remove it to write another")
        if args.layout is PromptLayout.TWO_TOWER:
            raise ContractError(
                "--layout: TwoTower has a head that is trained with the encoder; train it by a distill stage, student: TwoTower"
            )
        encoder = TextEncoder.load(folder)
        contract = build_contract(
            encoder, args.layout, args.rule_mode, args.max_prompt_tokens, image_tokens=args.image_tokens
        )
        if args.image_tokens is not None:
            (folder / CHAT_TEMPLATE_NAME).write_text(CHAT_TEMPLATE, encoding="utf-8")
        (folder / CONTRACT_NAME).write_bytes(contract.to_bytes())
        role = "Classifier" if args.layout is PromptLayout.CLASSIFIER else "Generative"
        about = {"role": role, "layout": args.layout.value, "promptDigest": contract.prompt_digest}
        ref = publish(folder, ArtifactRef(uri=args.out, credentials=args.credentials), "model", metadata=about)
    except (ArtifactError, OSError, ValueError) as error:
        print(f"lore model import: {error}", file=sys.stderr)
        return 1
    print(f"{ref.uri} {ref.digest}")
    return 0
