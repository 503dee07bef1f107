"""Query and Item GoodRate of served results: sampled with known probabilities, rated by people, a judge, or both."""
