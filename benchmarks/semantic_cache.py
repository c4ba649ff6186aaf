"""How often the semantic cache answers the same question in other words, and how often the wrong one.

    python benchmarks/semantic_cache.py

The bank's questions, each with a paraphrase (should hit) and with look-alikes: other numbers, a negation, another
language, another question (must not). The vectors are the local Azure's, hashed character n-grams, so the figures say
how the cache works and nothing of a real embedding model: measure that with ``labkit.cache.measure``, your own pairs.
"""

import asyncio
import os

import labkit
from labkit import AzureOpenAIManager
from labkit.cache import embed_with
from labkit.cache.measure import bank_pairs, lowest_threshold, measure
from labkit.localazure import LocalAzure

SHOWN = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)


async def main() -> None:
    """Measure with and without the check of numbers and negations, and print both."""
    with LocalAzure(quota_ktpm=100_000) as local:
        os.environ |= local.environment()
        labkit.connect()
        AzureOpenAIManager().deploy_language_model("text-embedding-3-small", "embeddings", capacity=50_000)
        pairs, embed = list(bank_pairs()), embed_with("embeddings")
        checked = await measure(pairs, embed, thresholds=SHOWN)
        bare = await measure(pairs, embed, thresholds=SHOWN, agree=None)
    print(f"{checked[0].same_pairs} pairs of the same question, {checked[0].other_pairs} look-alikes\n")
    print("| threshold | hits | false hits | hits, vectors alone | false hits, vectors alone |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for ours, theirs in zip(checked, bare, strict=True):
        shares = (ours.hit_share, ours.false_hit_share, theirs.hit_share, theirs.false_hit_share)
        print(f"| {ours.threshold} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    print(f"\nlowest of these thresholds without a false hit: {lowest_threshold(checked)}")


if __name__ == "__main__":
    asyncio.run(main())
