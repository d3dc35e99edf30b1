"""From items to identifiers: a few codes an item, which a generative recommender writes one by one."""
