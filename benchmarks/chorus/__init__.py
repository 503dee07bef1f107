"""The torso student on real judgements, five folds grouped by query, beside what costs no training."""
