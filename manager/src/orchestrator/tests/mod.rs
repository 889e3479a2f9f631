//! Scenarios as golden scripts (`../scripts/*.script`), and what is easier said in code.

mod incremental;
mod script;
mod services;
mod words;
mod world;

use crate::orchestrator::tests::script::check;

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            check(stringify!($name));
        }
    )*};
}

scripts!(
    a_broken_update_costs_one_slot_and_pauses,
    a_broken_update_goes_back_by_itself,
    a_drain_that_cannot_be_done_ends_all_the_same,
    a_drained_node_gives_its_tasks_away_one_at_a_time,
    a_drained_single_replica_runs_elsewhere_before_it_stops,
    a_failing_rollback_pauses,
    a_global_job_is_not_run_again_by_a_node_that_joins,
    a_global_service_follows_its_nodes,
    a_job_is_done_once,
    a_job_retries_failures_and_gives_up,
    a_label_that_goes_moves_its_tasks,
    a_new_spec_begins_a_new_run_after_the_old_one_ended,
    a_new_version_of_a_secret_rolls_over_and_back,
    a_node_that_returns_leaves_no_ghosts,
    a_paused_node_keeps_its_tasks,
    a_scheduled_job_runs_again_and_skips_what_it_cannot,
    a_tolerated_failure_does_not_stop_an_update,
    an_update_during_an_update_starts_over,
    an_update_rolls_with_delay_and_watch,
    an_update_that_cannot_be_placed_fails_in_the_end,
    attempts_are_counted_from_the_state,
    missed_times_are_made_up_once,
    scaling_during_an_update_goes_along,
    start_first_keeps_all_running,
);
