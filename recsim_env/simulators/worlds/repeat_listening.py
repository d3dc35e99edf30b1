"""The page of `RepeatListen-v0`: listeners of a synthetic catalogue, or of a calibrated one."""

from pathlib import Path

from recsim_env.simulators.catalogue import synthetic_catalogue
from recsim_env.simulators.population import synthetic_tastes
from recsim_env.simulators.worlds.calibrated import refuse_beside_calibration
from recsim_env.simulators.worlds.listening import REMEMBERED, ListeningWorld

FITTED = (  # what a calibration takes the place of
    "num_items",
    "num_categories",
    "concentration",
    "repeat",
    "temperature",
    "decay",
    "session_length",
    "mean_gap",
)


def repeat_listening(
    num_items: int = 5000,
    slate_size: int = 1,
    num_users: int = 200,
    num_categories: int = 50,
    concentration: float = 1.0,
    repeat: float = 0.72,
    temperature: float = 1.4,
    decay: float = 0.5,
    beta: float = 3.0,
    session_length: int = 10,
    mean_gap: float = 45_000.0,
    remembered: int | None = None,
    memory: str = "exact",
    history_length: int = 20,
    horizon: int = 100,
    calibration: str | Path | None = None,
    force: bool = False,
    world_seed: int = 0,
) -> ListeningWorld:
    """Recommend the next song to listeners who repeat what they remember and now and then discover.

    Story:
        A listener plays a session of songs, goes away, and comes back hours later. Most songs are old
        ones: heard lately, or often. Some are new, and become old ones. A recommendation makes a song
        come to mind more easily, but nobody plays a new song who wants an old one, or the reverse.

    Slate (action):
        One number per slot: a song (0 to N-1), or N to leave a slot empty, which the first slot cannot
        be. A song shown a second time counts as an empty slot. By default a slate is one song.

    Observation:
        `user`, a number in the population; `step`, songs played so far; `session_song`, songs played so
        far in this session; `recent`, the last `history_length` songs, latest first (N before the
        first), and `hours_ago`, how long ago each began (87600, ten years, for longer ones).

    What the user does:
        Wants a song they know with probability `repeat`, else a new one. Among known songs, not yet
        played in this session, chooses in proportion to (sum_j t_j^-decay)^(1/temperature) over the ages
        t_j of their plays in seconds; among new ones to popularity within the categories they like. A
        song on the slate weighs exp(beta) times as much. Plays one song a step, 240 seconds, `session_length`
        of them a session; then comes back after half an hour plus an exponential time. A song is known
        while one of its plays is among the last `remembered`. Who has heard all they have a taste for
        discovers any song alike. With a `calibration` the chance of a repeat grows with the number of
        known songs, popular ones come to mind more easily, sessions are as long as visits of the log, and
        gaps are Gamma, every user at their own pace.

    Reward:
        1 if the song played was on the slate, else 0.

    Episode end:
        Truncated after `horizon` songs; no user leaves. An episode begins with a session, and with the
        memory of a past that nobody recommended.

    Regret is measured against:
        The slate most likely to hold the next song, which is exact: the m strongest known songs and the
        K - m most appealing new ones, for the best m. It looks one song ahead: that a song played now is
        stronger later is not planned for, but the gate gives every slate the same share of repeats.

    Parameters (default, range, source):
        num_items: N (5000, more than `remembered`; ours).
        slate_size: K (1, at least 1; ours).
        num_users: U, size of the population (200, at least 1; ours).
        num_categories: C (50, 1 to N; ours).
        concentration: of the Dirichlet law of tastes (1, above 0; as the temperature).
        repeat: rho (0.72, 0 to 1; the share of repeats in LFM-1b, read off a chart of PISA).
        temperature: T (1.4, at least 0.25; chosen for the predictability of LFM-1b sessions).
        decay: d (0.5, 0 to below 1; ACT-R's usual value).
        beta: how much easier a recommended song comes to mind, in logits (3, 0 to 50; ours).
        session_length: songs (10, from 1 to 1000; LFM-1b sessions are cut to ten).
        mean_gap: seconds between sessions (45000, at least 1800; half an hour plus twelve on average).
        remembered: plays (None: 500, or N - K with a calibration of fewer songs; 1 to N - K, at most 32000;
            ours).
        memory: exact, or approximate: traces of 2/5 as many songs, with the number of plays and
            the times of the first and last, which takes less time (exact).
        history_length: songs in the observation (20, at least 1; ours).
        horizon: H, songs of an episode (100, at least 1; ours).
        calibration: directory that `recsim-env calibrate` wrote (None). It takes the place of num_items,
            num_categories, concentration, repeat, temperature, decay, session_length and mean_gap, and
            another value of one of them is refused.
        force: True uses a calibration that says it is not to be trusted (False).
        world_seed: of the catalogue, the tastes and the past (0).

    Known simplifications:
        Spreading activation, partial matching and noise are in `user_models.memory` and not used here:
        songs are alike but for their plays and popularity. Listeners do not tire of a song, do not skip,
        and the gate does not depend on the day.

    Version history:
        v0: first version.

    Source: Anderson et al., "An integrated theory of the mind", 2004; Tran et al., "Transformers Meet
    ACT-R", RecSys 2024.

    Raises:
        InputError: a parameter out of range, or beside one that takes its place.
    """
    if calibration is not None:
        refuse_beside_calibration(repeat_listening, locals(), FITTED)
        from recsim_env.simulators.calibration.listening import ListeningCalibration

        return ListeningCalibration.load(calibration).world(
            num_users=num_users,
            force=force,
            slate_size=slate_size,
            beta=beta,
            remembered=remembered,
            memory=memory,
            history_length=history_length,
            horizon=horizon,
            world_seed=world_seed,
        )
    return ListeningWorld(
        catalogue=synthetic_catalogue(num_items, 1, num_categories, world_seed=world_seed),
        taste=synthetic_tastes(num_users, num_categories, concentration=concentration, world_seed=world_seed),
        slate_size=slate_size,
        horizon=horizon,
        repeat=repeat,
        temperature=temperature,
        decay=decay,
        beta=beta,
        session_length=session_length,
        mean_gap=mean_gap,
        remembered=REMEMBERED if remembered is None else remembered,
        memory=memory,
        history_length=history_length,
        world_seed=world_seed,
    )
