"""What learners of rankings refuse: sizes of which nothing can be learned."""

from recsim_env.errors import InputError


def check_ranking_sizes(
    num_replicates: int, num_items: int, slate_size: int, num_rounds: int | None = None
) -> None:
    """Refuse no replicates, more slots than items, and rounds too few to take the logarithm of."""
    if num_replicates < 1:
        raise InputError(f"num_replicates must be at least 1, got {num_replicates}")
    if not 1 <= slate_size <= num_items:
        raise InputError(f"slate_size must be from 1 to num_items, {num_items}, got {slate_size}")
    if num_rounds is not None and not num_rounds >= 2:
        raise InputError(f"num_rounds must be at least 2, got {num_rounds}")
