"""Losses that tune a recommender to rewards or preferences; of it they see log-probabilities alone."""
