"""Every reason that a condition, an Event or `status.failure` may show: what it means and what to do about it.

The one table: messages take their remedies from it, and `make generate` writes docs/reasons.md from it.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Reason(NamedTuple):
    """One documented reason; an empty remedy means that there is nothing to do."""

    name: str
    meaning: str
    remedy: str = ""


PROGRESS: Final = (
    Reason("StageRunning", "A stage of a train job runs."),
    Reason(
        "PodStarting",
        "A pod's image is pulled or its volumes are mounted.",
        "Where this stays, check that the Secrets of secretRef and the claims of pvc:// uris exist in this namespace.",
    ),
    Reason(
        "Queued",
        "The Job is suspended by a queue controller and waits for quota.",
        "See the LocalQueue that runner.queueName names and its Workload.",
    ),
    Reason(
        "BackingOff",
        "An attempt failed; the next one starts at the time in the message.",
        "Nothing, or correct what failed.",
    ),
    Reason(
        "AwaitingModel",
        "A RelevanceModel that is named does not exist yet.",
        "Create it, or wait until a train job publishes it.",
    ),
    Reason(
        "AwaitingChampion",
        "The evaluation to compare with has no evidence yet.",
        "Wait for it, or name another champion.",
    ),
    Reason(
        "AwaitingTier",
        "The deployment's tier that is to be judged does not serve what its spec says.",
        "Wait for the rollout; where the default image changed since, name servingProfile.image in the tier.",
    ),
    Reason("AwaitingVerdict", "An evaluation runs."),
    Reason(
        "AwaitingDeletion",
        "An object of that name is being deleted and is waited for.",
        "Where this stays, see the object's finalizers.",
    ),
    Reason(
        "AwaitingRouters",
        "Not every Ready router serves the present configuration.",
        "See what each router says in the message.",
    ),
    Reason("BuildingHead", "The head generation of the new composition is built."),
    Reason(
        "PreparingPredictors",
        "Predictors of the new composition are not Ready yet.",
        "See what each predictor says in the message.",
    ),
    Reason("Paused", "rollout.paused is true: a running rollout stays where it is.", "Set it to false to go on."),
    Reason(
        "AwaitingApproval",
        "A step of the rollout waits for a person.",
        "Set rollout.approve to what the message says.",
    ),
    Reason(
        "AnalysisInconclusive",
        "A check of a step's analysis has no answer: Prometheus or an evaluation, as the message says. The rollout waits.",
        "Correct the query, prometheus.url of the chart, or the evaluation's name; a check is never passed without an answer.",
    ),
    Reason(
        "AwaitingSamples",
        "The analysis of a step has seen too few answers of the new composition.",
        "Wait, or lower analysis.minSamples.",
    ),
    Reason(
        "AwaitingFallback",
        "The predictor of a tier is to be replaced (rollout.surge PerTier), and no fallback of the tier is Ready.",
        "See what the fallback's predictor says in the message.",
    ),
    Reason(
        "ReplacingPredictor",
        "The old predictor of a tier goes before the new one comes (rollout.surge PerTier); its fallback answers meanwhile.",
        "Where this stays, see the finalizers of the InferenceService that the message names.",
    ),
    Reason(
        "RestoringPredictor",
        "The predictor of a tier that had to make room comes back (rollout.surge PerTier); its fallback answers meanwhile.",
        "See what it says in the message.",
    ),
    Reason("MovingWeight", "The new composition takes its queries step by step."),
    Reason("Suspended", "spec.suspend is true.", "Set it to false to go on."),
)

ENDS: Final = (
    Reason("Complete", "All stages finished and what they publish is published."),
    Reason("Registered", "The model is known; its verdicts are listed in status."),
    Reason("Passed", "All Required gates hold."),
    Reason(
        "Overridden",
        "The verdict is no pass; a person lets it pass, named in status.override with the reason and the day it ends.",
        "Evaluate again before the override ends.",
    ),
    Reason(
        "GateFailed",
        "A Required gate does not hold.",
        "Read the gate, its interval and the champion in the message and in the evidence.",
    ),
    Reason(
        "Inconclusive",
        "The sample cannot decide a Required gate.",
        "Use a larger benchmark or a wider bound; see the detectable regression in the evidence.",
    ),
    Reason("Serving", "The composition that the spec means answers all queries."),
    Reason(
        "PredictorsDegraded",
        "What serves has a predictor that is not Ready.",
        "See what it says in the message; fallbacks answer meanwhile.",
    ),
    Reason(
        "GateBlocked",
        "A model of the new composition has no passed evaluation for its digest, serving profile, rules, "
        "benchmark and gates.",
        "Create the RelevanceEval that the message describes, or serve a model that passed.",
    ),
    Reason(
        "RolledBack",
        "The new composition failed; the former one serves.",
        "Correct what failed, then change the spec or runToken.",
    ),
    Reason(
        "AnalysisFailed",
        "What routers saw of the new composition breaks a bound of rollout.steps[].analysis.",
        "See the figures in the message; change the spec or runToken to try again.",
    ),
    Reason(
        "RolloutPaused",
        "The new composition failed and rollout.onFailure is Pause: weights stay as they are.",
        "Change the spec or runToken to go on, or set rollout.pinRevision to go back.",
    ),
)

REFUSALS: Final = (
    Reason("InvalidSpec", "The operator cannot read the stored spec.", "Correct the fields that the message names."),
    Reason(
        "InvalidFrozenSpec",
        "The spec that a run began with cannot be read by this version.",
        "Set a new spec.runToken.",
    ),
    Reason(
        "SeveralTiersChange",
        "rollout.surge PerTier replaces the predictor of one tier at a time, and the spec changes several.",
        "Change one tier, wait until it is rolled out, then change the next; or use rollout.surge All.",
    ),
    Reason(
        "NoFallback",
        "rollout.surge PerTier cannot take a predictor away whose queries nobody else answers.",
        "Give the tier a fallback, let that be rolled out, then change the model; or use rollout.surge All.",
    ),
    Reason("InvalidDeployment", "A RelevanceDeployment that is named cannot be read.", "Correct it."),
    Reason("InvalidModel", "A RelevanceModel that is named cannot be read.", "Correct or replace it."),
    Reason(
        "InvalidPodTemplate",
        "podTemplate overrides what cannot be overridden, or is no pod template.",
        "Correct the field that the message names.",
    ),
    Reason(
        "NameConflict",
        "An object under a child's name belongs to someone else; it is never taken over.",
        "Delete or rename it, or rename this resource.",
    ),
    Reason(
        "NamespaceTooLong",
        "KServe could not name a predictor's host in this namespace.",
        "Use a namespace of at most 35 characters.",
    ),
    Reason(
        "ImpossibleResources",
        "A pod would ask for less than what it is told to run with.",
        "Change one of the two fields that the message names.",
    ),
    Reason(
        "ClaimNotShared",
        "Several nodes are to use a claim that only one node can mount.",
        "Use a claim with access mode ReadWriteMany (for inputs ReadOnlyMany will do), an object store, or nodes.count 1."
        " It is looked at again every minute.",
    ),
    Reason(
        "PublishConflict",
        "A RelevanceModel of the name to publish exists and is another one.",
        "Choose another name, or delete that model.",
    ),
    Reason("TierNotFound", "A deployment has no such tier with a model.", "Name one of those that the message lists."),
    Reason(
        "TierUnverified",
        "A tier is served by a runtime of KServe's, so nobody knows that it answers with the bytes of its digest.",
        "Judge the model by modelRef, or serve the tier without kserveRuntime.",
    ),
    Reason(
        "RevisionNotFound",
        "rollout.pinRevision is not in the history.",
        "Pin one of the revisions that the message lists.",
    ),
    Reason(
        "RevisionIncomplete",
        "The pinned revision was never prepared: its head generation is missing.",
        "Pin a revision that served.",
    ),
    Reason(
        "RouterConfigUnreadable",
        "The router's ConfigMap was edited and cannot be read.",
        "Restore it, or delete it to start over.",
    ),
    Reason(
        "ReportMismatch",
        "A report judges something else than was asked.",
        "See who else may write the report ConfigMap; start a new run with runToken.",
    ),
    Reason(
        "PrepareDeadlineExceeded",
        "A composition was not prepared within rollout.prepareDeadline.",
        "See the predictors' messages; raise the deadline or correct the cause, then change runToken.",
    ),
    Reason("PredictorFailed", "KServe gave a predictor up.", "See its message; correct the model or the profile."),
)

PODS: Final = (
    Reason(
        "Unschedulable",
        "No node takes the pod: selectors, taints or volumes.",
        "Compare runner.nodeSelector, tolerations and claims with the nodes.",
    ),
    Reason(
        "InsufficientCapacity",
        "No node has enough of the resource that the message names.",
        "Add nodes, or lower runner.resources or nodes.gpusPerNode.",
    ),
    Reason("ImagePullBackOff", "The image cannot be pulled.", "Check the image name and imagePullSecrets."),
    Reason("ErrImagePull", "The image cannot be pulled.", "Check the image name and imagePullSecrets."),
    Reason(
        "ErrImageNeverPull",
        "The image is not on the node and may not be pulled.",
        "Load it, or change the operator's image pull policy.",
    ),
    Reason("InvalidImageName", "The image name is malformed.", "Correct the image name."),
    Reason(
        "CreateContainerConfigError",
        "A Secret or ConfigMap that the container refers to is missing.",
        "Check that the Secret named by secretRef exists in this namespace.",
    ),
    Reason("CreateContainerError", "The container runtime could not create the container.", "See the pod's events."),
    Reason("RunContainerError", "The container runtime could not start the container.", "See the pod's events."),
    Reason(
        "CrashLoopBackOff",
        "A container ends again and again.",
        "Read what it said last, in the message or with kubectl logs --previous.",
    ),
    Reason(
        "PodsNotCreated",
        "The Job has no pod after half a minute.",
        "See the Job's events: a quota, an admission policy or a missing ServiceAccount may refuse its pods. A JobSet without"
        " a Job: see whether JobSet's controller runs.",
    ),
    Reason(
        "StartError",
        "The command of the container could not be started.",
        "Check that the image is one of this project's and of this version.",
    ),
    Reason(
        "OOMKilled",
        "The container used more memory than its limit.",
        "Raise runner.resources.limits.memory, or lower the batch.",
    ),
    Reason(
        "Evicted",
        "The node ran out of memory or disk and the pod was over its requests.",
        "Set requests that cover the use.",
    ),
    Reason(
        "DeadlineExceeded",
        "The run took longer than runPolicy.activeDeadline, or the pod longer than allowed.",
        "Raise the deadline; a new runToken starts again.",
    ),
    Reason(
        "Killed",
        "The container was killed from outside (exit code 137) and not for its own memory limit.",
        "See the node's events: memory pressure of the node, or a person.",
    ),
    Reason(
        "PodFailed",
        "The container ended with an exit code other than 0.",
        "Read the end of its output in the message.",
    ),
    Reason(
        "Disrupted",
        "The cluster took the pod away: preemption (a queue's too), drain, taint or a lost node. It is tried again, uncounted.",
        "Nothing; where it repeats, see the priority class and the node.",
    ),
    Reason(
        "StartDeadlineExceeded",
        "No pod reported within runPolicy.startDeadline of the Job's start. The attempt was stopped and counts as failed.",
        "See the pods' events: an image, a volume or a node that is slow or missing; or give it longer.",
    ),
    Reason(
        "StallDeadlineExceeded",
        "The pod said nothing for runPolicy.stallDeadline. The attempt was stopped and counts as failed.",
        "See its output for what it hung in (lore logs), a rank or a store that does not answer for example; or give it longer.",
    ),
    Reason("JobFailed", "The Job failed and no pod tells why.", "See the Job's conditions and events."),
    Reason(
        "BackoffLimitExceeded",
        "A pod failed and was removed before it could be read.",
        "See the Job's events; read the pod's log where logs are collected.",
    ),
    Reason(
        "PodFailurePolicy",
        "A pod failed and was removed before it could be read.",
        "See the Job's events; read the pod's log where logs are collected.",
    ),
    Reason(
        "ReportMissing",
        "The pod ended without delivering its report.",
        "Check that its ServiceAccount may patch the report ConfigMap and that it reaches the API server.",
    ),
)

REPORTS: Final = (
    Reason(
        "BadRecord",
        "A record of the data cannot be used; file, line and field are in failure.",
        "Correct that line.",
    ),
    Reason("BadData", "A data artifact lacks what is needed.", "Import or generate it again."),
    Reason("BadRuleSet", "A rule set cannot be used.", "Correct the field that the message names."),
    Reason(
        "BadConfig",
        "A setting cannot hold together with another or with the model.",
        "Correct the field that the message names.",
    ),
    Reason(
        "BadEnvironment",
        "The pod's environment lacks what its ranks need.",
        "Remove overrides of LORE_ variables from podTemplate.",
    ),
    Reason(
        "BadBaseModel",
        "The base model's weights and tokenizer do not belong together.",
        "Use a model that `lore model check` accepts.",
    ),
    Reason("BadHeadGeneration", "A head generation cannot be read.", "Build it again."),
    Reason("BadPicture", "A picture is none that a model can be shown.", "Correct or drop the picture of that record."),
    Reason("BadQueryLog", "A query log cannot be read.", "Correct what the message names."),
    Reason(
        "BadServingContract",
        "A model's serving contract cannot be used.",
        "Publish the model again with this version.",
    ),
    Reason("BadStrataSnapshot", "A strata snapshot cannot be read.", "Build it again with `lore strata build`."),
    Reason(
        "BadSigningKey",
        "The key that the verdict is to be signed with cannot be used.",
        "Put an Ed25519 private key in PEM under `signing.pem` of the Secret: openssl genpkey -algorithm ed25519.",
    ),
    Reason("EvidenceUnreadable", "A signed verdict is no envelope of this version.", "Promote the model again."),
    Reason(
        "EvidenceKeyUnknown",
        "A signed verdict's key is not trusted here.",
        "Give its public key to the operator, or promote from a cluster whose key is known.",
    ),
    Reason(
        "EvidenceForged",
        "A signed verdict was altered, or its signature forged: it does not verify.",
        "Find out who changed it; promote the model again.",
    ),
    Reason("EvidenceForOtherModel", "A signed verdict is about another model.", "Promote this model's own verdict."),
    Reason("EvidenceExpired", "A signed verdict's time is over.", "Evaluate again and promote the new verdict."),
    Reason("EvidenceNotPassed", "A signed verdict is no pass.", "Promote a model that passed."),
    Reason(
        "MissingRuleSet",
        "Rules are to be shown and no rule set is named.",
        "Name ruleSet, or use ruleMode None.",
    ),
    Reason(
        "AnswersMissing",
        "Not every pair of the benchmark has an answer.",
        "Evaluate again; a part of a benchmark is no verdict.",
    ),
    Reason(
        "ShardsMissing",
        "Some shards of an evaluation have no answers; the message names them.",
        "Nothing, where another attempt follows: it scores what is missing. Otherwise see status.shards and their pods.",
    ),
    Reason("BadGates", "A file holds no usable gates.", "Correct the gate and field that the message names."),
    Reason("BadLabelMap", "A map between label schemas cannot be used.", "Correct the field that the message names."),
    Reason(
        "EvidenceRefused",
        "A champion's evidence cannot be compared with, or is bound to other digests than asked.",
        "Name evidence of the same benchmark and rule mode; the message says what differs.",
    ),
    Reason(
        "NoGeneratedAnswer",
        "Generated answers are asked of a student that writes none.",
        "Leave generation out: its labels are scored.",
    ),
    Reason("MissingSubset", "The benchmark has no such subset.", "Use one of those that the message lists."),
    Reason(
        "InputsChanged",
        "An input's uri was given other content while the evaluation ran.",
        "Evaluate again, and name inputs by digest.",
    ),
    Reason(
        "WrongTrainingData",
        "The training data named for the leak check is not what the model was trained on.",
        "Name the pairs that the message names, or leave trainingData out.",
    ),
    Reason("WrongArtifactKind", "An artifact is of another kind than the field needs.", "Correct the uri."),
    Reason(
        "LabelSchemaMismatch",
        "Labels of two schemas would be mixed: model and benchmark, or data and this version.",
        "Use data of the same schema, or write it anew with `lore labels migrate`.",
    ),
    Reason(
        "EndpointUnavailable",
        "A judged endpoint, or a judge, gave no answer after all tries. It is tried again; what was answered is not paid again.",
        "Look at the endpoint and its limits, or lower its requestsPerMinute.",
    ),
    Reason(
        "EndpointRefused",
        "A judged endpoint, or a judge, refuses every request.",
        "Correct its url, model, the Secret's key `token`, or reasoningModel.",
    ),
    Reason(
        "WrongModel",
        "A judged endpoint, or a judge, answered as another model than was asked.",
        "Correct its model, or name in answersAs what it calls itself.",
    ),
    Reason(
        "ServedLogMissing",
        "The served log has nothing of a day of the window, or of the revision.",
        "Wait until the log is there, or correct firstDay, lastDay or revision.",
    ),
    Reason(
        "BadRatings",
        "People's ratings do not fit the sample: one is missing, given twice, or of something that was not drawn.",
        "Correct what the message names; rate all that the sample marks with people: true.",
    ),
    Reason(
        "TeacherUnavailable",
        "Many pairs in a row got no answer from the teacher. It is tried again; what was answered is not paid again.",
        "Look at the endpoint and its limits.",
    ),
    Reason(
        "NothingToAlign",
        "Too few pairs are left that alignment could learn from: fewer than a step takes.",
        "Raise align.below or align.candidates, lower optimizer.batchSize, give other pairs, or leave the stage out.",
    ),
    Reason(
        "LossNotFinite",
        "A training step's loss was infinite or no number.",
        "Lower the learning rate, or look at the data of that step.",
    ),
    Reason(
        "CanaryForgotten",
        "Alignment lost held-out pairs of a rule dimension, twice in a row.",
        "Lower the learning rate, or look at the reward.",
    ),
    Reason(
        "EntropyCollapsed",
        "An aligned model says one thing only.",
        "Lower the learning rate, or choose a preset that holds it more tightly.",
    ),
    Reason(
        "ParseRateLow", "Aligned answers can no longer be read.", "Raise reward.format, or lower the learning rate."
    ),
    Reason("AnswersTooLong", "Alignment makes answers longer and longer.", "Raise reward.length."),
    Reason("DivergenceTooLarge", "An aligned model has left its start too far.", "Lower the learning rate."),
    Reason("TeacherRefused", "The teacher refuses every request.", "Correct url, model, or the Secret's key `token`."),
    Reason(
        "NothingAccepted",
        "No trace of the teacher passed the checker.",
        "Look at the reasons in the message, then at the teacher's answers; give another teacher.",
    ),
    Reason(
        "UnknownField",
        "A gate's `where` names a field that no record has.",
        "Use one of those that the message lists.",
    ),
    Reason("PromptTooLong", "A record does not fit the prompt.", "Raise maxPromptTokens, or shorten the record."),
    Reason(
        "CoverageTooLow",
        "A head generation would cover too few of its candidates.",
        "Refresh items or candidates, or lower minCoverage.",
    ),
    Reason("SplitsOverlap", "Two splits share queries, items or pairs.", "Take them out of one."),
    Reason(
        "DigestMismatch",
        "Bytes, or a model, are not what the digest says.",
        "Correct the digest or the uri; where both were right, the bytes were changed.",
    ),
    Reason("ArtifactNotFound", "There is nothing under the uri.", "Correct the uri, or wait until it is written."),
    Reason(
        "ArtifactAccessDenied",
        "The store refuses the credentials.",
        "Check the Secret of secretRef and what it may do.",
    ),
    Reason(
        "ArtifactError",
        "The store could not be reached or answered with an error. It is tried again.",
        "Check endpoint, region and network.",
    ),
    Reason(
        "WorkspaceFull",
        "The workspace has no room for what is to be written. What lay there is as it was: earlier checkpoints are whole.",
        "Make room with `lore gc`, or enlarge the volume or its quota; a new runToken then goes on from the last checkpoint.",
    ),
    Reason("ScoringFailed", "The server gave no usable score.", "Read the server's words in the message."),
    Reason(
        "ServingEngineFailed",
        "The engine did not start or died.",
        "Read its last lines in the message; most often memory.",
    ),
    Reason("InternalError", "An error that nobody foresaw. It is tried again.", "Report it with the message."),
)

API: Final = (
    Reason(
        "ApiForbidden",
        "RBAC, a quota or an admission policy refuses a write.",
        "The message names the verb and the resource, and where RBAC refused it the commands that grant it.",
    ),
    Reason(
        "ApiInvalid",
        "The API server refuses an object that the operator rendered.",
        "Correct the field that the message names, often in podTemplate; an unknown one may need a newer Kubernetes or KServe.",
    ),
    Reason("ApiThrottled", "The API server asks for patience (429). It is tried again."),
    Reason("ApiUnreachable", "The API server did not answer. It is tried again."),
    Reason("ApiUnauthorized", "The operator's credentials are not accepted.", "Check its ServiceAccount."),
    Reason(
        "ApiError",
        "The API server answered with an error. It is tried again.",
        "Where it stays, see the API server's log.",
    ),
    Reason(
        "KindNotInstalled",
        "A kind that is needed is not installed.",
        "Install KServe, or what the message names.",
    ),
)

ALERTS: Final = (
    Reason(
        "TierResting",
        "Queries of a tier are answered by its fallback alone: its predictor makes room for another (rollout.surge PerTier).",
        "Wait for the rollout's end, or set spec back to have the old predictor return.",
    ),
    Reason(
        "GraphNotReady",
        "Nobody can pass the KServe InferenceGraph before the routers; the routers' own Service is not concerned.",
        "See the pods of KServe's Deployment of the graph's name.",
    ),
    Reason(
        "RouteNotAccepted",
        "A Gateway does not carry requests to the routers; the message has its words. Their own Service is not concerned.",
        "Create the Gateway, or have its listener allow routes of this namespace and the host names.",
    ),
    Reason(
        "StrataDrifted",
        "Live traffic falls on head, torso and tail otherwise than the strata snapshot's log did; the message has the shares.",
        "Build a snapshot from a newer log with lore strata build, and name it in spec.strata.",
    ),
    Reason(
        "StrataProposed",
        "A scheduled build has made a strata snapshot that is beyond spec.strata.build.guards; the message says which.",
        "Look at status.strata.proposal. To let it serve, set spec.strata.build.approve to its digest.",
    ),
    Reason(
        "StrataBuildFailed",
        "A scheduled build of the strata snapshot failed or cannot begin. What serves goes on.",
        "Correct what the message names; the next build comes at status.strata.nextBuild.",
    ),
    Reason(
        "StrataAccepted",
        "An event, no condition: a built strata snapshot is within its guards, or approved, and is rolled out.",
    ),
    Reason(
        "SpecDrift",
        "The spec was edited after its run started and is not used.",
        "Set a new spec.runToken to start a run with it.",
    ),
    Reason(
        "ClaimsUnchecked",
        "Several nodes are to share claims, and the operator may not read whether they can.",
        "Grant what the message names, or make sure of it yourself: access mode ReadWriteMany, for inputs ReadOnlyMany.",
    ),
    Reason(
        "UntrustedEvidence",
        "A signed verdict of spec.evidence does not count; the message names which and why.",
        "See the reason that the message names.",
    ),
    Reason(
        "VerdictOverridden",
        "Something serves under a verdict that is no pass; the message says who let it, why and until when.",
        "Evaluate again before the override ends.",
    ),
    Reason(
        "Unverified",
        "A tier's model is loaded by a runtime of KServe's: nobody compares its bytes with the digest that was judged.",
        "Serve the tier without kserveRuntime where its verdict must hold for what answers.",
    ),
    Reason(
        "VerdictExpired",
        "The verdict under which something serves is gone or has changed. It goes on serving.",
        "Evaluate again.",
    ),
)


GROUPS: Final[Mapping[str, tuple[Reason, ...]]] = {
    "Work in progress": PROGRESS,
    "How it ends": ENDS,
    "What cannot be done as asked": REFUSALS,
    "Pods and Jobs": PODS,
    "What a pod reports": REPORTS,
    "Calls to the API server": API,
    "Alerts: conditions of their own, which leave Ready as it is": ALERTS,
}
REASONS: Final[Mapping[str, Reason]] = {reason.name: reason for group in GROUPS.values() for reason in group}


def remedy(name: str) -> str:
    """What to do about a reason; empty where nothing is known."""
    found = REASONS.get(name)
    return found.remedy if found else ""
