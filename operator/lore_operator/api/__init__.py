"""The resources as types, and the CRDs generated from them."""

from lore_operator.api.parse import InvalidResource, parse_deployment, parse_eval, parse_model, parse_train_job

__all__ = ["InvalidResource", "parse_deployment", "parse_eval", "parse_model", "parse_train_job"]
