//! Flags of how changes roll over, and how a return to the previous spec does.

use crate::command::value::duration;
use clap::Args;
use clap::ValueEnum;
use weft_proto::defaults;
use weft_proto::spec::Ratio;
use weft_proto::wire;

/// Which comes first when a task is replaced.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// Stop the old task, then start the new one
    StopFirst,
    /// Start the new task, then stop the old one
    StartFirst,
}

impl From<Order> for wire::UpdateOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::StopFirst => wire::UpdateOrder::StopFirst,
            Order::StartFirst => wire::UpdateOrder::StartFirst,
        }
    }
}

/// What happens when too many new tasks fail.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum UpdateAction {
    /// Replace no more tasks
    Pause,
    /// Go on
    Continue,
    /// Return to the service as it was before
    Rollback,
}

/// What happens when too many tasks fail on the way back.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RollbackAction {
    /// Replace no more tasks
    Pause,
    /// Go on
    Continue,
}

/// How changes roll over.
#[derive(Debug, Default, Args)]
pub(super) struct UpdateFlags {
    /// How many tasks are replaced at a time by an update; 0: all at once [default: 1]
    #[arg(long, value_name = "N")]
    update_parallelism: Option<u32>,
    /// Time between one replaced task and the next, like 10s [default: 0]
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    update_delay: Option<u64>,
    /// Which comes first when a task is replaced [default: stop-first]
    #[arg(long, value_enum, value_name = "ORDER")]
    update_order: Option<Order>,
    /// How long a replaced task is watched for failure, like 5s [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    update_monitor: Option<u64>,
    /// What happens when too many replaced tasks fail [default: pause]
    #[arg(long, value_enum, value_name = "ACTION")]
    update_failure_action: Option<UpdateAction>,
    /// Part of the tasks that may fail before that happens, like 0.25 [default: 0]
    #[arg(long, value_name = "RATIO")]
    update_max_failure_ratio: Option<Ratio>,
}

/// How a return to the previous spec rolls over.
#[derive(Debug, Default, Args)]
pub(super) struct RollbackFlags {
    /// How many tasks are replaced at a time by a rollback; 0: all at once [default: 1]
    #[arg(long, value_name = "N")]
    rollback_parallelism: Option<u32>,
    /// Time between one task rolled back and the next, like 10s [default: 0]
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    rollback_delay: Option<u64>,
    /// Which comes first when a task is rolled back [default: stop-first]
    #[arg(long, value_enum, value_name = "ORDER")]
    rollback_order: Option<Order>,
    /// How long a task rolled back is watched for failure, like 5s [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    rollback_monitor: Option<u64>,
    /// What happens when too many tasks fail on the way back [default: pause]
    #[arg(long, value_enum, value_name = "ACTION")]
    rollback_failure_action: Option<RollbackAction>,
    /// Part of the tasks that may fail before that happens, like 0.25 [default: 0]
    #[arg(long, value_name = "RATIO")]
    rollback_max_failure_ratio: Option<Ratio>,
}

/// What one of the two groups of flags says.
struct Said {
    parallelism: Option<u32>,
    delay: Option<u64>,
    order: Option<Order>,
    monitor: Option<u64>,
    action: Option<wire::FailureAction>,
    ratio: Option<Ratio>,
}

impl Said {
    fn apply(self, config: &mut wire::UpdateConfig) {
        let set = |place: &mut u32, value: Option<u32>| *place = value.unwrap_or(*place);
        set(&mut config.parallelism, self.parallelism);
        config.delay_ms = self.delay.unwrap_or(config.delay_ms);
        if let Some(order) = self.order {
            config.set_order(order.into());
        }
        config.monitor_ms = self.monitor.or(config.monitor_ms);
        if let Some(action) = self.action {
            config.set_failure_action(action);
        }
        let ratio = self.ratio.map(|ratio| ratio.thousandths().into());
        set(&mut config.max_failure_thousandths, ratio);
    }
}

impl UpdateFlags {
    /// Puts what was said into `spec`, and leaves the rest as it is.
    pub(super) fn apply(self, spec: &mut wire::ServiceSpec) {
        let said = Said {
            parallelism: self.update_parallelism,
            delay: self.update_delay,
            order: self.update_order,
            monitor: self.update_monitor,
            action: self.update_failure_action.map(|action| match action {
                UpdateAction::Pause => wire::FailureAction::Pause,
                UpdateAction::Continue => wire::FailureAction::Continue,
                UpdateAction::Rollback => wire::FailureAction::Rollback,
            }),
            ratio: self.update_max_failure_ratio,
        };
        let default = || wire::UpdateConfig::from(&defaults::UPDATE);
        said.apply(spec.update.get_or_insert_with(default));
    }
}

impl RollbackFlags {
    /// Puts what was said into `spec`, and leaves the rest as it is.
    pub(super) fn apply(self, spec: &mut wire::ServiceSpec) {
        let said = Said {
            parallelism: self.rollback_parallelism,
            delay: self.rollback_delay,
            order: self.rollback_order,
            monitor: self.rollback_monitor,
            action: self.rollback_failure_action.map(|action| match action {
                RollbackAction::Pause => wire::FailureAction::Pause,
                RollbackAction::Continue => wire::FailureAction::Continue,
            }),
            ratio: self.rollback_max_failure_ratio,
        };
        let default = || wire::UpdateConfig::from(&defaults::ROLLBACK);
        said.apply(spec.rollback.get_or_insert_with(default));
    }
}
