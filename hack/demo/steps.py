"""The demo's steps in their order. Tests drive the same ones."""

from collections.abc import Mapping
from typing import Final

from hack.cluster.kubectl import Kubectl
from hack.demo import ask, chorus, data, examples, follow, gates, install, seed, view
from hack.demo.examples import CLAIM, NAMESPACE
from hack.demo.phases import Phases
from hack.demo.target import Target

TRAIN_JOB: Final = ("RelevanceTrainJob", "lore-q")
EVALUATIONS: Final = (("RelevanceEval", "lore-q"), ("RelevanceEval", "lore-q-student"))
DEPLOYMENT: Final = ("RelevanceDeployment", "search")
CHORUS: Final = (
    ("RelevanceTrainJob", "chorus"),
    ("RelevanceEval", "chorus-student"),
    ("RelevanceDeployment", "chorus"),
)


def install_platform(target: Target) -> Mapping[str, str]:
    """Images where the cluster finds them, and the chart; component → image."""
    references = target.provide_images()
    install.install(target.kubectl, references)
    return references


def fill_workspace(target: Target, image: str, made: data.Data) -> None:
    """Namespace, volume and claim, and the data on it."""
    examples.check(made.digests())
    examples.apply(target.kubectl, "quickstart/00-namespace.yaml")
    target.provide_volume(NAMESPACE, CLAIM)
    examples.apply(target.kubectl, "quickstart/10-workspace.yaml")
    seed.seed(target.kubectl, NAMESPACE, CLAIM, image, made)


def train(kubectl: Kubectl) -> None:
    """Apply the whole quickstart and follow its training to the end."""
    examples.apply(kubectl, "quickstart")
    follow.Follower(kubectl, NAMESPACE).until(
        lambda found: TRAIN_JOB in found and follow.succeeded(found[TRAIN_JOB]), 30, "training"
    )


def serve(kubectl: Kubectl) -> None:
    """Follow evaluations and deployment until the deployment serves."""

    def serving(found: gates.Found) -> bool:
        judged = [follow.succeeded(found[key]) for key in EVALUATIONS]
        return all(judged) and follow.succeeded(found[DEPLOYMENT])

    follow.Follower(kubectl, NAMESPACE).until(serving, 30, "evaluation and roll-out")


def show_gate(kubectl: Kubectl) -> None:
    """Follow the gate demonstration to its end; it was applied when the training was over."""
    follow.Follower(kubectl, NAMESPACE).until(gates.settled, 30, "the gate demonstration")


def ask_router(kubectl: Kubectl, made: data.Data) -> list[tuple[ask.Question, ask.Answer]]:
    """One question of each stratum."""
    with ask.forwarded(kubectl, NAMESPACE, f"{DEPLOYMENT[1]}-router") as url:
        return [(question, ask.ask(url, question)) for question in ask.questions(made)]


def start_chorus(kubectl: Kubectl, image: str, made: data.Data) -> None:
    """The real judgements put on the volume, and what carries them through training, evaluation and serving applied."""
    examples.check(made.digests())
    seed.seed(kubectl, NAMESPACE, CLAIM, image, made)
    examples.apply(kubectl, "chorus")


def ask_chorus(kubectl: Kubectl, made: data.Data) -> list[tuple[ask.Question, ask.Answer]]:
    """Follow the real judgements until they are served, and ask one held-out query."""

    def serving(found: gates.Found) -> bool:
        return all([follow.succeeded(found[key]) for key in CHORUS])

    follow.Follower(kubectl, NAMESPACE).until(serving, 30, "Chorus")
    question = chorus.question(made)
    with ask.forwarded(kubectl, NAMESPACE, f"{CHORUS[-1][1]}-router") as url:
        return [(question, ask.ask(url, question))]


def report(kubectl: Kubectl, answers: list[tuple[ask.Question, ask.Answer]], phases: Phases) -> str:
    """The closing tables."""
    objects = follow.Follower(kubectl, NAMESPACE).objects()
    kinds = {kind: [item for item in objects if item["kind"] == kind] for kind in follow.KINDS}
    serving = next(item for item in kinds["RelevanceDeployment"] if item["metadata"]["name"] == DEPLOYMENT[1])
    judged = {*EVALUATIONS, CHORUS[1]}
    ours = [item for item in kinds["RelevanceEval"] if (item["kind"], item["metadata"]["name"]) in judged]
    parts = {
        "Training": view.stages(kinds["RelevanceTrainJob"]),
        "Scores and gates": view.verdicts(ours),
        "Tiers": view.tiers(serving),
        "Answers": ask.answers(answers),
        "The gate at work": gates.summary(kubectl),
        "Time": view.minutes(phases.spent),
    }
    return "\n\n".join("\n".join([title, *lines]) for title, lines in parts.items())
